"""The samples of one set → its numbers. Missing ones are refused, never counted as wrong."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from openrs_core.errors import ProtocolError, RunError
from services.evaluator.majority import majority_at
from services.evaluator.result import Interval, ProblemResult, Protocol, SetResult, rounded
from services.evaluator.samples import Sample
from services.evaluator.statistics import accuracy, pass_at, powers_of_two


@dataclass(frozen=True, kw_only=True, slots=True)
class SetRows:
    """A set that was asked, and its samples."""

    name: str
    digest: str
    problems: Sequence[str]
    """Ids of all its problems, in the set's order."""
    samples: int
    """Asked for of each problem."""
    rows: Iterable[Sample]
    """In the order of `problems`, and of each problem's samples; a generator will do, since only
    counts are kept."""
    failed: frozenset[str] = frozenset()
    """Ids of problems that no sampler could do; they have no rows."""


@dataclass(slots=True)
class _Problem:
    """What is known of one problem."""

    id: str
    correct: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    tokens: list[int] = field(default_factory=list)
    truncated: int = 0
    unverified: int = 0
    disagreements: int = 0

    def add(self, row: Sample, correct: bool) -> None:
        self.tokens.append(row.tokens)
        self.truncated += row.truncated
        self.unverified += row.verdict == "error"
        self.disagreements += row.harness_correct not in (None, row.correct)
        self.correct += correct
        if not correct and row.answer is not None:
            self.wrong["".join(row.answer.split())] += 1


class Summary:
    """Takes a set's rows one by one; `result` is what they come to."""

    def __init__(self, asked: SetRows, protocol: Protocol, *, allow_failed: bool = False) -> None:
        """Nothing is counted yet.

        Raises:
            RunError: problems failed, and that is not allowed; or none is left.
        """
        self._asked, self._by_harness = asked, protocol.scoring == "harness"
        _refuse_failed(asked, allow_failed)
        self._problems = {id: _Problem(id) for id in asked.problems if id not in asked.failed}
        self._places = self._expected()

    def add(self, row: Sample) -> None:
        """The next row.

        Raises:
            RunError: a row before it is missing.
            ProtocolError: rows out of order, or one more than was asked for.
        """
        place = next(self._places, None)
        if place != (row.problem_id, row.sample) or row.set != self._asked.name:
            self._refuse(place, row)
        correct = row.harness_correct if self._by_harness else row.correct
        if correct is None:
            raise ProtocolError(f"{row.problem_id}: the harness was not asked for its scoring")
        self._problems[row.problem_id].add(row, correct)

    def result(self) -> SetResult:
        """The set's numbers.

        Raises:
            RunError: rows are missing.
        """
        if place := next(self._places, None):
            raise _missing(self._asked, place)
        found, samples = list(self._problems.values()), self._asked.samples
        drawn = len(found) * samples
        return SetResult(
            name=self._asked.name,
            digest=self._asked.digest,
            problems=len(found),
            samples=samples,
            accuracy=Interval.of(accuracy([p.correct / samples for p in found])),
            pass_at=_pass_at(found, samples),
            maj_at=_maj_at(found, samples),
            truncated=rounded(sum(p.truncated for p in found) / drawn),
            unverified=rounded(sum(p.unverified for p in found) / drawn),
            failed=len(self._asked.failed),
            tokens=rounded(fmean(t for p in found for t in p.tokens)),
            disagreements=sum(p.disagreements for p in found),
            by_problem=[_of_problem(p, samples) for p in found],
        )

    def _expected(self) -> Iterator[tuple[str, int]]:
        for id in self._problems:
            yield from ((id, number) for number in range(self._asked.samples))

    def _refuse(self, place: tuple[str, int] | None, row: Sample) -> None:
        later = place is not None and (row.problem_id, row.sample) in set(self._places)
        if place and later and row.set == self._asked.name:
            raise _missing(self._asked, place)
        raise ProtocolError(f"{row.set} {row.problem_id} sample {row.sample} where {place} is due")


def _refuse_failed(asked: SetRows, allowed: bool) -> None:
    failed = [id for id in asked.problems if id in asked.failed]
    if len(failed) == len(asked.problems):
        raise RunError(f"set {asked.name}: none of its problems could be sampled; see the logs")
    if failed and not allowed:
        raise RunError(
            f"set {asked.name}: {len(failed)} of {len(asked.problems)} problems could not be "
            f"sampled, the first is {failed[0]}; see the sampler's log, or leave them out with "
            "--allow-failed"
        )


def _missing(asked: SetRows, place: tuple[str, int]) -> RunError:
    return RunError(
        f"set {asked.name}: problem {place[0]} lacks sample {place[1]} of {asked.samples}; "
        "a missing sample is not a wrong one: let the evaluation go on until it is finished"
    )


def _pass_at(found: Sequence[_Problem], samples: int) -> dict[str, float]:
    return {
        str(k): rounded(fmean(pass_at(p.correct, samples, k) for p in found))
        for k in powers_of_two(samples)
    }


def _maj_at(found: Sequence[_Problem], samples: int) -> dict[str, float]:
    ks = powers_of_two(samples)
    each = [majority_at(p.correct, list(p.wrong.values()), samples, ks) for p in found]
    return {
        str(k): rounded(fmean(column))
        for k, column in zip(ks, zip(*each, strict=True), strict=True)
    }


def _of_problem(problem: _Problem, samples: int) -> ProblemResult:
    return ProblemResult(
        id=problem.id,
        correct=problem.correct,
        samples=samples,
        tokens=rounded(fmean(problem.tokens)),
        truncated=problem.truncated,
    )
