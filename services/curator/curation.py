"""A curation: its stages in their order, each after the one before.

usable         there is a problem, and an answer that math-verify can read
contamination  it is no problem of a benchmark
duplicates     it is not what an earlier one says
rules          it asks for one answer that can be verified, in plain English
judge          a model says that it is to be kept (if it is asked)
solve          a model's pass rate on it is known (if it is asked)
mix            it is drawn for a part
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from openrs_core.errors import RunError
from openrs_core.recipe.curate import CurateRecipe
from services.curator.answers import Answers, judged, solved
from services.curator.asking import Question
from services.curator.candidates import Candidate, SourceRows, read_sources
from services.curator.contamination import Benchmarks
from services.curator.funnel import Funnel, Gone, Stage, Why
from services.curator.mixture import Mixture, Rate, mix, not_chosen
from services.curator.text_stages import Found, contaminated, read_benchmarks, repeated, unfit


@dataclass(slots=True)
class Curation:
    """What is left, what went, what was found."""

    recipe: CurateRecipe
    note: Callable[[Stage], None]
    """Called after each stage."""
    left: list[Candidate] = field(default_factory=list)
    funnel: Funnel = field(default_factory=Funnel)
    hits: list[Found] = field(default_factory=list)
    """What is a benchmark's."""
    rates: dict[str, Rate] = field(default_factory=dict)

    def read(self, sources: Iterable[SourceRows]) -> None:
        """Take every row that can be used."""
        gone: list[Gone] = []
        for found in sources:
            self.left += found.candidates
            for reason, numbers in found.left_out.items():
                gone += [Gone(f"{found.name}/row-{n}", "usable", Why(reason)) for n in numbers]
        self.funnel.book("usable", len(self.left), gone)
        self.note(self.funnel.stages[-1])

    def sift_texts(self, benchmarks: Benchmarks) -> None:
        """Take out what is a benchmark's, what is there twice, and what breaks a rule."""
        rules = self.recipe.curate
        self.hits = contaminated(self.left, benchmarks)
        how = {each.candidate.id: each.hit for each in self.hits}
        faults = {
            name: Why(f"a benchmark's: {hit.how}", hit.benchmark) for name, hit in how.items()
        }
        self._sift("contamination", faults)
        self._sift("duplicates", repeated(self.left, rules))
        self._sift("rules", unfit(self.left, rules))

    def sift_askable(self, question: Question) -> None:
        """Take out what is too long to be asked about."""
        self._sift(f"fits {question.stage}", question.too_long(self.left))

    def sift_judged(self, answers: Answers) -> None:
        """Take out what the judge drops.

        Raises:
            RunError: too many of its answers are no judgement.
        """
        nonsense = self.recipe.curate.judge.nonsense
        self._sift("judge", judged(self.left, answers, nonsense))

    def sift_solved(self, answers: Answers) -> None:
        """Note the pass rates, and take out what has none."""
        self.rates, faults = solved(self.left, answers)
        self._sift("solve", faults)

    def mixed(self) -> Mixture:
        """The data set.

        Raises:
            RunError: nothing is left for it.
        """
        mixture = mix(self.recipe, self.left, self.rates)
        self._sift("mix", not_chosen(self.recipe, self.left, self.rates, mixture))
        return mixture

    def _sift(self, stage: str, faults: dict[str, Why]) -> None:
        self.left = self.funnel.sift(stage, self.left, faults)
        self.note(self.funnel.stages[-1])
        if not self.left:
            reasons = ", ".join(self.funnel.stages[-1].reasons)
            raise RunError(
                f"curate: no problem is left after {stage!r} ({reasons}); before that: "
                f"{self.funnel}; loosen what leaves them out, or give other sources"
            )


def sift_by_text(recipe: CurateRecipe, note: Callable[[Stage], None]) -> Curation:
    """Everything that needs no model; `note` is called after each stage.

    Raises:
        RunError: a source or a benchmark cannot be read, or nothing is left.
    """
    curation = Curation(recipe, note)
    benchmarks = read_benchmarks(recipe)
    curation.read(read_sources(recipe))
    curation.sift_texts(benchmarks)
    return curation
