"""`openrs learner` that kills itself at a named point: python -m tests.e2e.dying POINT TIMES ...

The point is a function of the real program, before or after it runs for the TIMES-th time. Nothing
of this is in the program itself.
"""

import functools
import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

POINTS = {
    "after the step, before its groups are settled": "services.learner.admission:Admission.settle",
    "after the step, before publishing": "services.learner.loop:Learner._publish",
    "mid-publish, chunks without their manifest": "openrs_core.weights.store:Store._manifest",
    "after publishing, before the checkpoint": "services.learner.loop:Learner._checkpoint",
    "mid-checkpoint, optimizer without model":
        "services.learner.trainer.deepspeed:DeepSpeedTrainer.write_model",
    "mid-checkpoint, written and not renamed": "services.learner.checkpoints:sync!",
    "after the checkpoint, before the acknowledgement":
        "services.issuing.issuer:Issuer.acknowledge",
    "after the acknowledgement": "services.issuing.issuer:Issuer.acknowledge!",
    "prompts booked and not sent": "openrs_core.ring.queue:Queue.publish",
    "prompts sent and not yet known as sent": "openrs_core.ring.queue:Queue.publish!",
    "resumed, with nothing taken up": "services.issuing.issuer:Issuer.resume",
}  # fmt: skip
"""Where a learner may die; a `!` means after the function, else before it."""


def arm(point: str, times: int) -> None:
    """Make the process kill itself the TIMES-th time it comes to the point."""
    module, _, path = POINTS[point].rstrip("!").partition(":")
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    after = POINTS[point].endswith("!")
    setattr(owner, name, _fatal(getattr(owner, name), times, after=after))


def _fatal(function: Callable[..., Any], times: int, *, after: bool) -> Callable[..., Any]:
    left = times

    @functools.wraps(function)
    def fatal(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        result = function(*arguments, **options) if left or after else None
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return fatal


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    from services.cli import app

    app(sys.argv[3:])
