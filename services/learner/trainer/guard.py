"""The last look at a step, when its gradient is whole and nothing has moved yet.

DeepSpeed computes the gradient's norm inside its step, after reducing and before the optimizer.
Outside, the gradient lies in private buffers that differ by ZeRO stage. So a step is given up where
the norm is known: in torch's hook before the optimizer's own step. Without gradients AdamW does
nothing at all: no value, no moment and no count changes. DeepSpeed's step goes on as always, clears
what was accumulated, and makes the weights from masters that are what they were.

A gradient that is not finite never gets there: DeepSpeed looks itself, clears and leaves.

The loss is a sum over all ranks, and so is the norm; or each rank works it out of the same gradient
(bfloat16 with ZeRO-1, where all hold it whole). So all ranks decide alike.
"""

import math
from typing import Any

from services.learner.step import SkipReason


class Guard:
    """Makes DeepSpeed's steps, or has it make none."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._limit = math.inf
        self._skipped: SkipReason = ""
        engine.basic_optimizer.register_step_pre_hook(self._look)

    def step(self, loss: float, norm_limit: float) -> SkipReason:
        """One step, unless it would do harm; the loss is that of all ranks."""
        self._limit, self._skipped = norm_limit, "" if math.isfinite(loss) else "loss"
        self._engine.step()
        if not self._engine.was_step_applied():
            self._skipped = self._skipped or "gradient"
        skipped, self._limit, self._skipped = self._skipped, math.inf, ""
        return skipped

    def _look(self, optimizer: Any, _args: object, _keywords: object) -> None:
        """Called by torch with all gradients in place: once, or once for each part of ZeRO-3."""
        norm = float(self._engine.optimizer._global_grad_norm)  # of all ranks, before clipping
        if not math.isfinite(norm):
            self._skipped = self._skipped or "gradient"
        elif norm > self._limit:
            self._skipped = self._skipped or "spike"
        if self._skipped:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.grad = None
