"""What a step's tokens add up to, against plain numpy, however they are cut."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from services.learner.step import StepStats
from services.learner.trainer.loss import TokenLoss
from services.learner.trainer.totals import Totals

pytestmark = pytest.mark.arithmetic


@dataclass
class Tokens:
    """[N] each."""

    ratio: Tensor
    clipped: Tensor
    advantages: Tensor
    entropy: Tensor

    def part(self, start: int, end: int) -> "Tokens":
        return Tokens(**{name: values[start:end] for name, values in vars(self).items()})


@st.composite
def tokens(draw: st.DrawFn) -> Tokens:
    count = draw(st.integers(1, 40))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**30)))
    spread = draw(st.sampled_from([0.01, 0.1, 3.0]))
    return Tokens(
        ratio=(spread * torch.randn(count, generator=random)).exp(),
        clipped=(torch.rand(count, generator=random) < 0.3).float(),
        advantages=torch.randint(-1, 2, (count,), generator=random).float(),
        entropy=torch.rand(count, generator=random),
    )


def stats_of(parts: list[Tokens]) -> StepStats:
    totals = Totals(torch.device("cpu"))
    for part in parts:
        each = TokenLoss(part.ratio, part.ratio, part.clipped, part.ratio / 7, part.ratio.log())
        totals.add(part.ratio.sum(), part.entropy, each, part.advantages)
    return totals.stats(grad_norm=1.0, skipped="")


@given(batch=tokens())
def test_shares_and_effective_sample_size_are_as_defined(batch: Tokens) -> None:
    """Sums are of float64, as numpy's: what is left is a few of its roundings."""
    found = stats_of([batch])
    w, gain = batch.ratio.double().numpy(), batch.advantages.numpy()
    clipped = batch.clipped.numpy() == 1
    assert found.outside == pytest.approx(np.mean((w < 0.9) | (w > 1.1)))
    assert found.ess == pytest.approx(w.sum() ** 2 / (len(w) * (w**2).sum()))
    assert found.clipped_positive == pytest.approx(np.mean(clipped & (gain > 0)))
    assert found.clipped_negative == pytest.approx(np.mean(clipped & (gain < 0)))
    assert found.clipped == pytest.approx(np.mean(clipped))
    assert found.ratio_max == w.max()
    far = np.abs(batch.ratio.log().double().numpy())
    assert found.log_ratio_mean == pytest.approx(np.mean(far))
    assert found.log_ratio_max == far.max()
    assert found.tokens == len(w)


@given(batch=tokens(), share=st.floats(0, 1))
def test_a_cut_changes_nothing(batch: Tokens, share: float) -> None:
    """But how sums are rounded: the loss and means are sums of positive float32 here."""
    middle, count = int(share * len(batch.ratio)), len(batch.ratio)
    whole, cut = stats_of([batch]), stats_of([batch.part(0, middle), batch.part(middle, count)])
    for name in (
        "loss",
        "entropy",
        "mismatch_kl",
        "outside",
        "ess",
        "ratio_max",
        "log_ratio_max",
        "tokens",
    ):
        assert getattr(cut, name) == pytest.approx(getattr(whole, name), rel=count * 2**-24)


def test_ratios_that_are_all_alike_count_in_full_and_one_that_outweighs_the_rest_alone() -> None:
    def ess(*ratios: float) -> float:
        ratio = torch.tensor(ratios)
        return stats_of([Tokens(ratio, ratio * 0, ratio, ratio)]).ess

    assert ess(*[2.0] * 10) == pytest.approx(1)
    assert ess(1e6, *[1e-6] * 9) == pytest.approx(1 / 10)
