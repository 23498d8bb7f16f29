"""What an evaluation cost is counted over all its lives."""

from openrs_core.record.lines import LifeLine, ProgressLine
from services.evaluator.cost import Cost, cost


def at(time: float, tokens: int) -> ProgressLine:
    return ProgressLine(time=time, stage="evaluating", done=0, total=9, tokens=tokens)


def test_lives_add_up_and_the_time_between_them_does_not():
    lines = [
        LifeLine(time=100.0, incarnation=1, version=0), at(110.0, 50), at(120.0, 400),
        LifeLine(time=900.0, incarnation=2, version=0), at(940.0, 200),
        LifeLine(time=950.0, incarnation=3, version=0),
    ]  # fmt: skip
    assert cost(lines, dollars_per_hour=36.0) == Cost(
        seconds=60.0, tokens=600, tokens_per_second=10.0, dollars=0.6
    )


def test_a_price_that_is_not_known_is_not_made_up():
    assert cost([], 0.0) == Cost(seconds=0.0, tokens=0, tokens_per_second=0.0, dollars=None)
