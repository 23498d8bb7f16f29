"""Everything that travels between processes, and nothing else.

    Prompt -> [sampler] -> RolloutGroup -> [scorer] -> ScoredGroup -> [learner] -> WeightsManifest

A message is frozen. A process that adds knowledge wraps the older message (a ScoredGroup holds
a RolloutGroup), so no field is ever filled in later. Arrays are tuples here and little-endian
bytes on the wire (see `codec`). Bounds (see `fields`) are checked where a message is decoded;
agreement between fields, here, also where one is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from openrs_core.wire.fields import (
    MAX_ANSWER,
    MAX_CHUNKS,
    MAX_COMPONENTS,
    MAX_FAILURE,
    MAX_GROUP_SIZE,
    MAX_POLICIES,
    MAX_PROBLEM,
    MAX_TEXT,
    MAX_TOKENS,
    Count,
    Digest,
    Finite,
    Id,
    Logprobs,
    Name,
    Reward,
    Share,
    TokenIds,
)

Purpose = Literal["train", "eval"]
Verdict = Literal["correct", "incorrect", "no_answer", "timeout", "error"]
"""`timeout`: the answer took more processor time or memory than one may take, and counts as a wrong
one does. `error`: nobody knows whether it is right (the reference cannot be read, the machine was
too slow, a reward of the user's failed): it is not trained on."""
FinishReason = Literal["stop", "length"]
Form = Literal["named", "delta", "snapshot"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How the completions of one prompt are drawn."""

    temperature: Annotated[Finite, Field(ge=0)]
    """0 is greedy; otherwise logits are divided by it, by sampler and learner alike."""

    max_tokens: Annotated[Count, Field(ge=1, le=MAX_TOKENS)]
    """Longest completion, in tokens; at most 2**20."""

    group_size: Annotated[Count, Field(ge=1, le=MAX_GROUP_SIZE)]
    """Completions drawn for the prompt; at most 1024."""

    top_p: Annotated[Finite, Field(gt=0, le=1)] = 1.0
    """Drawn from the likeliest tokens of this share together; below 1 in evaluations only."""

    seed: Count | None = None
    """Completion i is drawn with seed + i; None: with the sampler's own random numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """One issue of one problem: tokens in, so that nobody renders it twice.

    Example:
        Prompt(group_id="1.17", prompt_id="chain-sum/8+9-4-6", position=17, purpose="train",
               incarnation=1, issued_version=3, issued_at=1.7e9, token_ids=(305, 11, ...),
               thought_open=False,
               problem="What is 8+9-4-6?", answer="7",
               sampling=Sampling(temperature=1.0, max_tokens=96, group_size=8))
    """

    group_id: Id
    """Unique within the run: incarnation and sequence number, or the evaluation's own id; at most
    200 characters."""

    prompt_id: Name
    """Which problem of the data set; at most 1000 characters."""

    position: Count
    """Its place in the data order, or among the problems of the evaluation."""

    purpose: Purpose
    """`eval` groups travel the same ring and are never trained on."""

    incarnation: Count
    """The life of the learner that issued it."""

    issued_version: Count
    """Newest version published when it was issued: no older one may sample it; `eval`: no other."""

    issued_at: Finite
    """Unix time, seconds."""

    token_ids: TokenIds  # [P]
    """The rendered prompt, chat template and all; at most 2**20."""

    thought_open: Annotated[bool, Field(strict=True)]
    """Does the rendered prompt end inside a thought, so that the completion begins in it?"""

    problem: Annotated[str, Field(strict=True, max_length=MAX_PROBLEM)]
    """The problem's text before it was rendered, for the scorer; at most 2**20 characters."""

    answer: Annotated[str, Field(strict=True, max_length=MAX_ANSWER)]
    """Reference answer, for the scorer; at most 65,536 characters."""

    sampling: Sampling


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyRun:
    """`count` consecutive tokens made by one policy."""

    incarnation: Count
    version: Count
    count: Annotated[Count, Field(ge=1, le=MAX_TOKENS)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """One sampled answer, with what off-policy correction needs to know about its making.

    Example:
        Completion(token_ids=(9707, 13), behaviour_logprobs=(-0.2, -1.1),
                   policies=(PolicyRun(incarnation=1, version=7, count=1),
                             PolicyRun(incarnation=1, version=8, count=1)),
                   finish_reason="stop", text="42.")
        # the weights moved from version 7 to 8 while it was being sampled
    """

    token_ids: TokenIds  # [T]
    """Sampled tokens, with the end-of-sequence token if there was one; at most 2**20."""

    behaviour_logprobs: Logprobs  # [T]
    """log mu(token) under the policy that sampled it, at the sampling temperature; float32,
    finite, not above 0."""

    policies: Annotated[tuple[PolicyRun, ...], Field(max_length=MAX_POLICIES)]
    """Which policy made which tokens, in order, at most 4096 runs; the counts add up to T."""

    finish_reason: FinishReason

    text: Annotated[str, Field(strict=True, max_length=MAX_TEXT)]
    """The tokens decoded, without special ones; at most 2**24 characters."""

    def __post_init__(self) -> None:
        """Raise ValueError when the three per-token fields disagree about T."""
        tokens, made = len(self.token_ids), sum(run.count for run in self.policies)
        if not tokens == len(self.behaviour_logprobs) == made:
            raise ValueError(
                f"{tokens} token_ids, {len(self.behaviour_logprobs)} behaviour_logprobs and "
                f"{made} tokens in policies: the three must agree"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutGroup:
    """A prompt and the completions drawn for it."""

    prompt: Prompt

    completions: Annotated[tuple[Completion, ...], Field(max_length=MAX_GROUP_SIZE)]
    """`group_size` of them, or none when sampling failed; none longer than `max_tokens`."""

    sampler: Name
    """Which sampler made it; at most 1000 characters."""

    failure: Annotated[str, Field(strict=True, max_length=MAX_FAILURE)] = ""
    """Why there are no completions, in at most 10,000 characters; empty otherwise."""

    def __post_init__(self) -> None:
        """Raise ValueError when this is neither what was asked for nor a failure."""
        asked, found = self.prompt.sampling, len(self.completions)
        if self.failure and found:
            raise ValueError(f"{found} completions and a failure: only one of them can be")
        if not self.failure and found != asked.group_size:
            raise ValueError(f"{found} completions and no failure, group_size {asked.group_size}")
        longest = max((len(each.token_ids) for each in self.completions), default=0)
        if longest > asked.max_tokens:
            raise ValueError(f"a completion of {longest} tokens, max_tokens {asked.max_tokens}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """What the scorer says of one completion. A fact: advantages are the learner's choice."""

    reward: Reward
    """Weighted sum of the components; within 1e6 either way."""

    components: Annotated[Mapping[Name, Reward], Field(max_length=MAX_COMPONENTS)]
    """Each named reward, before its weight; at most 32, each within 1e6 either way."""

    verdict: Verdict

    language: Share
    """How much of the completion is in the language asked for, from 0 to 1."""

    @property
    def is_verified(self) -> bool:
        """Is the verdict about the answer?"""
        return self.verdict != "error"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredGroup:
    """A rollout group and one score per completion."""

    rollout: RolloutGroup
    scores: Annotated[tuple[Score, ...], Field(max_length=MAX_GROUP_SIZE)]

    def __post_init__(self) -> None:
        """Raise ValueError when a completion has no score, or a score no completion."""
        if len(self.scores) != len(self.rollout.completions):
            raise ValueError(
                f"{len(self.scores)} scores for {len(self.rollout.completions)} completions"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsManifest:
    """The commit of one published policy: written after its chunks, so it names whole weights.

    Example:
        WeightsManifest(incarnation=1, version=8, form="delta", digest="9f…", base="03…",
                        payload=7, oldest_payload=1, head=b"…", size=1_450_112,
                        checksums=("5e…",), whole_size=269_030_400, values=512_004,
                        published_at=1.7e9, seconds=0.2)
        # whoever holds the weights of digest 03… gets those of 9f… from 1.4 MB
    """

    incarnation: Count
    version: Count

    form: Form
    """`named`: by its digest alone, for those who have it; `delta`: what changed since `base`;
    `snapshot`: whole."""

    digest: Digest
    """blake3 of the whole policy, layout and values, hex."""

    base: Digest
    """Digest of the policy a delta applies to; empty for the other forms."""

    payload: Count
    """Number of its chunk stream within the incarnation; `named` has no chunks."""

    oldest_payload: Count
    """Deltas of lower numbers are no longer in Redis."""

    head: Annotated[bytes, Field(strict=True)]
    """Of a delta: see `weights.delta`; of a snapshot: the layout; of `named`: empty."""

    size: Count
    """Bytes of all chunks together."""

    checksums: Annotated[tuple[Digest, ...], Field(max_length=MAX_CHUNKS)]
    """blake3 of each chunk, hex; at most 16,384."""

    whole_size: Count
    """Bytes of the whole policy."""

    values: Count
    """How many values the chunks hold."""

    published_at: Finite
    """Unix time, seconds."""

    seconds: Finite
    """From the end of the optimizer step (of a snapshot: from its beginning) to this commit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsTaken:
    """A sampler's note that it put a policy in force."""

    sampler: Name
    incarnation: Count
    version: Count
    form: Form

    size: Count
    """Bytes fetched."""

    fetch_seconds: Finite
    """Fetching, unpacking and checking, beside the sampling."""

    apply_seconds: Finite
    """Between two steps of the engine: how long nothing was sampled."""

    delay_seconds: Finite
    """From the manifest to the moment the policy was in force."""


Message = Prompt | RolloutGroup | ScoredGroup | WeightsManifest | WeightsTaken
