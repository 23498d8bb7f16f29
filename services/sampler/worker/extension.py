"""The methods the engine calls in each of vLLM's workers, to write weights and to read them back.

vLLM imports this file in every worker before a model is loaded, and makes `WorkerExtension` one
more base class of its own worker. A single worker lives in the sampler's process and is handed the
objects themselves; several are processes of their own, and vLLM copies the objects to each.
"""

from collections.abc import Callable

from torch import nn

from openrs_core.errors import RunError
from openrs_core.weights import Change, Layout
from services.sampler.worker.places import Block, Places
from services.sampler.worker.plain_weights import keep_weights_plain
from services.sampler.worker.watch import load

keep_weights_plain()


class WorkerExtension:
    """Has the places of the policy in this worker's share of the model.

    Its names must not be those of vLLM's workers, which vLLM checks. It has no `__init__`, as vLLM
    would not call it: the places are there from the first `load_policy` on.
    """

    get_model: Callable[[], nn.Module]  # vLLM's
    _places: Places

    def load_policy(self, layout: Layout, change: Change) -> str:
        """Load a whole policy as vLLM does, and learn its places; why that cannot be, or nothing.

        A value, because what a worker raises in a process of its own comes back as a
        RuntimeError.
        """
        try:
            self._places = load(self.get_model(), layout, change)
        except RunError as error:
            return str(error)
        return ""

    def write_change(self, change: Change) -> None:
        """Put new values in the places that this worker has of them."""
        self._places.write(self.get_model(), change)

    def read_blocks(self) -> list[Block]:
        """What this worker holds of the policy; on a CPU these are views of its weights."""
        return self._places.read(self.get_model())
