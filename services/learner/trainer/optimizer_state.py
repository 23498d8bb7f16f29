"""Masters, moments and step count as plain tensors, whoever holds them.

Whole per parameter on disk, so any number of ranks and any ZeRO stage can go on from them:

    optimizer-00001.safetensors ...    NAME.master, NAME.exp_avg, NAME.exp_avg_sq, all float32;
                                       AdamW's step count is in each file's metadata

Rank 0 alone touches the disk; the others take part in gathering and get what is read. Only
DeepSpeed's per-parameter functions are used. With several ranks -0.0 may come back as 0.0.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from openrs_core.errors import RunError
from services.learner.trainer.batch import MicroBatch

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What AdamW keeps of each value, under the names torch gives them."""

KINDS = ("master", *MOMENTS)

FILE_BYTES = 2**30
"""A file is written when it would grow beyond this: rank 0 holds no more in memory at once."""

Named = Iterable[tuple[str, Any]]
"""Parameters by the model's own names, in the same order on every rank."""


def wake(engine: Any, batch: MicroBatch) -> None:
    """Make AdamW's state, which otherwise appears at the first step; nothing moves."""
    _still_step(engine, batch)
    _set_count(engine, 0)


def save(engine: Any, named: Named, directory: Path) -> None:
    """Write the whole state (every rank takes part; rank 0 writes).

    Raises:
        OSError, SafetensorError: a file could not be written; on rank 0, after everything else.
    """
    files = _Files(directory, _count(engine)) if dist.get_rank() == 0 else None
    for name, parameter in named:
        for kind in KINDS:
            tensor = _whole(parameter, kind)
            if files:
                files.add(f"{name}.{kind}", tensor)
    if files:
        files.close()


def load(engine: Any, named: Named, stored: "Stored | None", batch: MicroBatch) -> None:
    """Restore what `save` wrote (every rank; rank 0 has it `stored`), weights included."""
    parameters = list(named)
    for name, parameter in parameters:
        _set(parameter, "master", _shared(stored, f"{name}.master", parameter))
    _still_step(engine, batch)  # brings the masters, rounded, into the weights of every rank
    for name, parameter in parameters:
        for kind in MOMENTS:
            _set(parameter, kind, _shared(stored, f"{name}.{kind}", parameter))
    count = torch.tensor([stored.count if stored else 0], device=engine.device)
    dist.broadcast(count, src=0)
    _set_count(engine, int(count))


class Stored:
    """A state on disk, looked at but not read."""

    def __init__(self, directory: Path) -> None:
        """Raises RunError: it is not there."""
        self.directory = directory
        self._file: dict[str, Path] = {}
        self.count = 0
        """Steps that AdamW has made."""
        for path in sorted(directory.glob("optimizer-*.safetensors")):
            with safe_open(path, "pt") as file:
                self._file |= dict.fromkeys(file.keys(), path)
                self.count = int(file.metadata()["count"])
        if not self._file:
            raise RunError(f"checkpoint {directory}: no optimizer state is there")

    def check(self, named: Named) -> None:
        """Raise RunError when it is not of these parameters."""
        for name, parameter in named:
            for key in (f"{name}.{kind}" for kind in KINDS):
                if key not in self._file or self._shape(key) != list(_shape(parameter)):
                    raise RunError(
                        f"checkpoint {self.directory}: {key} is missing or has another shape; "
                        "it is of another model"
                    )

    def tensor(self, key: str) -> Tensor:
        """One tensor, read now."""
        with safe_open(self._file[key], "pt") as file:
            tensor: Tensor = file.get_tensor(key)
            return tensor

    def _shape(self, key: str) -> list[int]:
        with safe_open(self._file[key], "pt") as file:
            return list(file.get_slice(key).get_shape())


class _Files:
    """Collects tensors and writes them, a file at a time.

    A failure is kept until `close`: the other ranks are gathering, and rank 0 must not leave them.
    """

    def __init__(self, directory: Path, count: int) -> None:
        self._directory, self._count = directory, count
        self._held: dict[str, Tensor] = {}
        self._written = 0
        self._failure: OSError | SafetensorError | None = None

    def add(self, key: str, tensor: Tensor) -> None:
        """Take a tensor, and write those before it if it does not fit beside them."""
        if sum(t.nbytes for t in self._held.values()) + tensor.nbytes > FILE_BYTES:
            self._write()
        self._held[key] = tensor.cpu().contiguous()

    def close(self) -> None:
        """Write what is left; raise what went wrong."""
        self._write()
        if self._failure:
            raise self._failure

    def _write(self) -> None:
        held, self._held = self._held, {}
        if self._failure or not held:
            return
        self._written += 1
        path = self._directory / f"optimizer-{self._written:05d}.safetensors"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            save_file(held, path, metadata={"count": str(self._count)})
        except (OSError, SafetensorError) as error:
            self._failure = error


def _still_step(engine: Any, batch: MicroBatch) -> None:
    """A step of length 0: AdamW's state is there afterwards, and weights equal masters."""
    for group in engine.optimizer.param_groups:
        group["lr"] = 0.0
    engine.set_gradient_accumulation_boundary(True)
    logprobs, _ = engine(batch)
    engine.backward(0 * logprobs.sum())
    engine.step()


def _count(engine: Any) -> int:
    """Steps AdamW has made: the same for every part it works on."""
    return int(next(iter(engine.basic_optimizer.state.values()))["step"])


def _set_count(engine: Any, count: int) -> None:
    for state in engine.basic_optimizer.state.values():
        state["step"].fill_(count)


def _whole(parameter: Any, kind: str) -> Tensor:
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    whole: Tensor = (
        safe_get_full_fp32_param(parameter)
        if kind == "master"
        else safe_get_full_optimizer_state(parameter, kind)
    )
    return whole


def _shared(stored: Stored | None, key: str, parameter: Any) -> Tensor:
    """A tensor that rank 0 reads, on every rank."""
    tensor = torch.empty(_shape(parameter), dtype=torch.float32, device=parameter.device)
    if stored:
        tensor.copy_(stored.tensor(key))
    dist.broadcast(tensor, src=0)
    return tensor


def _set(parameter: Any, kind: str, value: Tensor) -> None:
    import deepspeed.utils as by_parameter

    if not hasattr(parameter, "ds_id"):
        if kind == "master":
            by_parameter.safe_set_full_fp32_param(parameter, value)
        else:
            by_parameter.safe_set_full_optimizer_state(parameter, value, kind)
    elif kind == "master":
        by_parameter.safe_set_local_fp32_param(parameter, _part(parameter, value))
    else:
        by_parameter.safe_set_local_optimizer_state(parameter, _part(parameter, value), kind)


def _part(parameter: Any, value: Tensor) -> Tensor:
    """This rank's part under ZeRO-3: DeepSpeed's own cut forgets the padding of the last one."""
    size = parameter.ds_tensor.numel()
    padding = size * dist.get_world_size() - value.numel()
    padded = torch.nn.functional.pad(value.flatten(), (0, padding))
    return padded[size * dist.get_rank() :][:size]


def _shape(parameter: Any) -> tuple[int, ...]:
    """ZeRO-3 leaves a parameter's own shape in `ds_shape`."""
    return tuple(getattr(parameter, "ds_shape", parameter.shape))
