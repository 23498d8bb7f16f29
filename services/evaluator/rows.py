"""From the journal's groups to the rows of a result."""

from collections.abc import Iterable, Iterator

from openrs_core.boxed import last_box
from openrs_core.record.rollouts import Journal
from openrs_core.wire.messages import Completion, Prompt, Score
from services.evaluator.samples import Sample
from services.evaluator.suites import Share

HARNESS = "harness"
"""The component of the reward that says what the paper's harness would have credited."""


def rows(asked: Iterable[Share], journal: Journal) -> Iterator[Sample]:
    """A row for each completion of the shares, in their order.

    Raises:
        KeyError: one is not answered.
    """
    for share in asked:
        group = journal.group(share.group_id)
        judged = zip(group.rollout.completions, group.scores, strict=True)
        for number, (completion, score) in enumerate(judged):
            yield _row(share, number, group.rollout.prompt, completion, score)


def _row(share: Share, number: int, prompt: Prompt, completion: Completion, score: Score) -> Sample:
    harness = score.components.get(HARNESS)
    seed = prompt.sampling.seed
    return Sample(
        set=share.suite,
        problem_id=prompt.prompt_id,
        problem=prompt.problem,
        reference=prompt.answer,
        sample=share.first + number,
        seed=None if seed is None else seed + number,
        correct=score.verdict == "correct",
        harness_correct=None if harness is None else harness == 1.0,
        verdict=score.verdict,
        answer=last_box(completion.text),
        tokens=len(completion.token_ids),
        truncated=completion.finish_reason == "length",
        text=completion.text,
    )
