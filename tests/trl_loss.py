"""The loss as TRL 1.16 computes it: `GRPOTrainer._compute_loss` on a namespace.

TRL's cispo knows one normaliser, a number of tokens N: the other aggregations are made of it by
choosing N and calling it per row or per group.
"""

from collections import defaultdict
from functools import partial
from itertools import chain
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from tests.loss_cases import MAX_TOKENS, Case, Group, Result

TRL_NAMES = {"token": "dapo", "sequence": "grpo", "group": "bnpo", "constant": "dr_grpo"}


def load_trl(module: str = "grpo_trainer", name: str = "GRPOTrainer") -> type:
    """A trainer, or skip: its methods are private and change between releases."""
    trl = pytest.importorskip("trl", reason="TRL is the oracle; golden numbers stand in for it")
    if trl.__version__ != "1.16.0":
        pytest.skip(f"the oracle is TRL 1.16.0, installed is {trl.__version__}")
    return getattr(pytest.importorskip(f"trl.trainer.{module}"), name)


def trl_result(trainer: type, case: Case, groups: list[Group]) -> Result:
    """The loss and its gradient."""
    rows = [row for group in groups for row in group]
    batches = micro_batches(case, groups, rows)
    loss, gradients = 0.0, {}
    for batch, normaliser in batches:
        part, gradient = micro_batch(trainer, case, batch, normaliser, len(batches))
        loss += part
        gradients |= {id(row): values for row, values in zip(batch, gradient, strict=True)}
    slopes = [gradients[id(row)] for row in rows]
    kinds = range(2 if case.rules.entropy_weight else 1)
    return loss, [*chain.from_iterable(each[kind] for kind in kinds for each in slopes)]


def micro_batches(case: Case, groups: list[Group], rows: Group) -> list[tuple[Group, int]]:
    """Rows that are computed together, and TRL's N for them (which only cispo and dapo read)."""
    tokens = sum(len(row["logprobs"]) for row in rows)
    if case.aggregation == "group":
        sizes = [sum(len(row["logprobs"]) for row in group) for group in groups]
        return [(group, len(groups) * size) for group, size in zip(groups, sizes, strict=True)]
    if case.aggregation == "sequence" and case.variant == "cispo":
        return [([row], len(rows) * len(row["logprobs"])) for row in rows]
    return [(rows, len(rows) * MAX_TOKENS if case.aggregation == "constant" else tokens)]


def micro_batch(
    trainer: type, case: Case, rows: Group, normaliser: int, accumulated: int
) -> tuple[float, list[tuple[list[float], list[float]]]]:
    """The loss of these rows; of each row the gradients of its log-probabilities and entropies."""
    lengths = [len(row["logprobs"]) for row in rows]

    def padded(name: str) -> Tensor:
        full = [row[name] + [-1.0] * (max(lengths) - len(row[name])) for row in rows]
        return torch.tensor(full)

    logprobs, entropies = padded("logprobs").requires_grad_(), padded("entropies").requires_grad_()
    mask = torch.tensor([[int(at < n) for at in range(max(lengths))] for n in lengths])
    one = torch.ones(len(rows), 1, dtype=torch.int64)
    inputs = {
        "prompt_ids": one, "prompt_mask": one, "completion_ids": mask, "completion_mask": mask,
        "advantages": torch.tensor([row["advantage"] for row in rows]),
        "num_items_in_batch": torch.tensor(normaliser),
        "ref_per_token_logps": padded("reference"),
    }  # fmt: skip
    if case.off_policy:
        inputs["old_per_token_logps"] = padded("behaviour")
    namespace = trl_namespace(trainer, case, accumulated)
    namespace._get_per_token_logps_and_entropies = lambda *_, **__: (logprobs, entropies, None)
    loss = trainer._compute_loss(namespace, None, inputs)
    loss.backward()
    slopes = [each.grad if each.grad is not None else 0 * each for each in (logprobs, entropies)]
    rows_of = zip(*(each.tolist() for each in slopes), lengths, strict=True)
    return loss.item(), [(one[:n], other[:n]) for one, other, n in rows_of]


def trl_namespace(trainer: type, case: Case, accumulated: int) -> SimpleNamespace:
    """What `_compute_loss` reads of a trainer."""
    rules, cispo = case.rules, case.variant == "cispo"
    namespace = SimpleNamespace(
        args=SimpleNamespace(
            delta=rules.dual_clip or None,
            use_bias_correction_kl=rules.kl_with_ratio,
            steps_per_generation=accumulated,  # so that N alone normalises
            entropy_target=rules.entropy_target,
            entropy_coef_delta=0.005,
            entropy_coef_min=0.0,
            entropy_coef_max=1.0,
        ),
        accelerator=SimpleNamespace(
            num_processes=1,
            sync_gradients=True,
            gather=lambda value: value,
            reduce=lambda value, reduction: value,
            pad_across_processes=lambda value, dim, pad_index: value,
        ),
        model=SimpleNamespace(training=True),
        loss_type="cispo" if cispo else TRL_NAMES[case.aggregation],
        epsilon_low=rules.clip_low,
        epsilon_high=rules.ratio_cap if cispo else rules.clip_high,
        beta=rules.kl_weight,
        importance_sampling_level=rules.ratio_level,
        max_completion_length=MAX_TOKENS,
        current_gradient_accumulation_steps=accumulated,
        _metrics={"train": defaultdict(list)},
        top_entropy_quantile=rules.top_entropy_share,
        off_policy_mask_threshold=rules.opsm_delta or None,
        get_off_policy_mask=trainer.get_off_policy_mask,
        aux_loss_enabled=False,
        use_vllm=False,
        vllm_importance_sampling_correction=False,
        _entropy_bonus_enabled=bool(rules.entropy_weight or rules.entropy_target),
        use_adaptive_entropy=bool(rules.entropy_target),
        entropy_coef=rules.entropy_weight,
        _last_world_entropy=float("inf"),
        _entropy_window_stats=None,
    )
    namespace.get_high_entropy_mask = partial(trainer.get_high_entropy_mask, namespace)
    return namespace
