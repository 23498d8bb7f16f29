"""Messages with defaults for everything a test does not care about."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from openrs_core.record.lines import EvaluationLine, Scored, Spent, StepLine
from openrs_core.wire.messages import (
    Completion,
    FinishReason,
    Form,
    PolicyRun,
    Prompt,
    Purpose,
    RolloutGroup,
    Sampling,
    Score,
    ScoredGroup,
    Verdict,
    WeightsManifest,
)
from services.learner.step import StepStats


def a_prompt(
    group_id: str = "1.1", *, purpose: Purpose = "train", version: int = 0, group_size: int = 2
) -> Prompt:
    return Prompt(
        group_id=group_id,
        prompt_id=f"problem of {group_id}",
        position=0,
        purpose=purpose,
        incarnation=1,
        issued_version=version,
        issued_at=1.7e9,
        token_ids=(1, 2, 3),
        thought_open=False,
        problem="What is 8+9-4-6?",
        answer="7",
        sampling=Sampling(temperature=1.0, max_tokens=8, group_size=group_size),
    )


def a_completion(text: str = "\\boxed{7}", *, version: int = 0, tokens: int = 2) -> Completion:
    return Completion(
        token_ids=tuple(range(4, 4 + tokens)),
        behaviour_logprobs=(-0.5,) * tokens,
        policies=(PolicyRun(incarnation=1, version=version, count=tokens),),
        finish_reason="stop",
        text=text,
    )


def a_group(prompt: Prompt | None = None, *, version: int = 0) -> RolloutGroup:
    prompt = prompt or a_prompt()
    completions = tuple(a_completion(version=version) for _ in range(prompt.sampling.group_size))
    return RolloutGroup(prompt=prompt, completions=completions, sampler="sampler-0")


def a_scored_group(
    prompt: Prompt | None = None, *, rewards: Sequence[float] = (1.0, 0.0), version: int = 0
) -> ScoredGroup:
    scores = tuple(
        Score(
            reward=reward,
            components={"accuracy": reward},
            verdict="correct" if reward > 0 else "incorrect",
            language=1.0,
        )
        for reward in rewards
    )
    return ScoredGroup(rollout=a_group(prompt, version=version), scores=scores)


def a_manifest(
    version: int, form: Form = "delta", *, incarnation: int = 1, size: int = 10, **changes: Any
) -> WeightsManifest:
    """Of a line of versions whose digests are `d0`, `d1`, and so on."""
    facts: dict[str, Any] = {
        "incarnation": incarnation, "version": version, "form": form, "digest": f"d{version}",
        "base": f"d{version - 1}" if form == "delta" else "", "payload": version,
        "oldest_payload": 0, "head": b"", "size": size, "checksums": (), "whole_size": 100,
        "values": 1, "published_at": 1.7e9, "seconds": 0.1,
    }  # fmt: skip
    return WeightsManifest(**(facts | changes))


def step_stats(**changes: Any) -> StepStats:
    """Of a step that was made, by a learner that computes just as its sampler does."""
    facts: dict[str, Any] = {
        "loss": 0.5, "grad_norm": 1.0, "entropy": 1.0, "mismatch_kl": 0.0, "ratio_max": 1.0,
        "log_ratio_mean": 0.0, "log_ratio_max": 0.0,
        "clipped": 0.0, "clipped_positive": 0.0, "clipped_negative": 0.0, "outside": 0.0,
        "ess": 1.0, "tokens": 8,
    }  # fmt: skip
    return StepStats(**(facts | changes))


def a_step(version: int, incarnation: int = 1) -> StepLine:
    return StepLine(
        version=version, incarnation=incarnation, reward=0.5, components={"accuracy": 0.5},
        accuracy=0.5, completion_tokens=9.0, truncated=0.0, staleness_max=1, staleness_mean=0.5,
        completions=8, lr=1e-6, loss=0.1, grad_norm=1.0, entropy=1.0, mismatch_kl=0.0,
        log_ratio_mean=0.0, log_ratio_max=0.0, ratio_max=1.0,
        clipped=0.0, clipped_positive=0.0, clipped_negative=0.0, outside=0.0, ess=1.0,
        tokens=72, scored=nothing_scored(),
        seconds=Spent(collect=1.0, train=2.0, publish=0.0), groups=(),
    )  # fmt: skip


def an_evaluation(version: int, **changes: Any) -> EvaluationLine:
    facts: dict[str, Any] = {
        "incarnation": 1, "set": "held_out", "mode": "sampled", "accuracy": 0.75,
        "standard_error": 0.027, "truncated": 0.125, "unverified": 0, "failed": 0, "tokens": 13.25,
        "problems": 256, "too_long": 0, "completions": 256, "temperature": 1.0, "top_p": 1.0,
        "max_tokens": 96,
    }  # fmt: skip
    return EvaluationLine(version=version, **(facts | changes))


def nothing_scored() -> Scored:
    return Scored(
        groups={}, completions={}, reward=None, components={}, accuracy=None,
        completion_tokens=None, truncated=None, language=None,
    )  # fmt: skip


def a_judged_group(*judged: tuple[Verdict, float, FinishReason], tokens: int = 2) -> ScoredGroup:
    """A completion for each verdict, with its reward and why it ended; the first has so many
    tokens, each other one more than the one before."""
    prompt = a_prompt(group_size=len(judged))
    roomy = Sampling(temperature=1.0, max_tokens=tokens + len(judged), group_size=len(judged))
    rollout = a_group(replace(prompt, sampling=roomy))
    drawn = [
        replace(a_completion(tokens=tokens + number), finish_reason=reason)
        for number, (_, _, reason) in enumerate(judged)
    ]
    scores = [
        Score(reward=reward, components={"accuracy": reward}, verdict=verdict, language=0.5)
        for verdict, reward, _ in judged
    ]
    rollout = replace(rollout, completions=tuple(drawn))
    return ScoredGroup(rollout=rollout, scores=tuple(scores))
