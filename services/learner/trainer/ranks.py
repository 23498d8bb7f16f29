"""How the ranks come together, and how rank 0 tells the others what to do: one broadcast of an
order."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import msgpack
import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore, PrefixStore, Store, TCPStore

from openrs_core.errors import RanksError, RunError
from openrs_core.lifecycle import EXIT_FAULT
from services.learner.step import Sequence
from services.learner.trainer import watch
from services.learner.trainer.watch import Place

PATIENCE = timedelta(days=1)
"""How long a rank waits for rank 0, which may itself wait for groups or an evaluation."""

JOIN_SECONDS = 15.0
"""How long a rank that has come waits for the others. A launcher starts all at once, so they differ
by how fast torch is read from the disk; where that takes longer, a second start finds it read."""

FIRST_SECONDS = 30.0
"""For the ranks' first common sum; NCCL sets up its channels meanwhile, some seconds."""

LINGER_SECONDS = 0.2
"""gloo's thread lets go of the last collective a moment after it is over, and needs the interpreter
for that: if that is ending already, the process aborts (exit code -6)."""

CHANNELS = (
    "the GPUs or machines do not get through to each other. Try NCCL_P2P_DISABLE=1 (PCIe "
    "peer-to-peer), NCCL_SOCKET_IFNAME or GLOO_SOCKET_IFNAME (the network), NCCL_DEBUG=INFO to see "
    "more"
)

logger = logging.getLogger(__name__)


def join(on_stop: Callable[[], None] = lambda: None) -> None:
    """Join the other ranks, or be the only one; again: nothing.

    `on_stop`: what rank 0 does when another rank was told to stop.

    Raises:
        RunError: the launcher's environment variables are missing.
        RanksError: a rank has not come, or what they sum is wrong. Where they do not get through to
            each other, the process ends.
    """
    if dist.is_initialized():
        return
    backend, here = "nccl" if torch.cuda.is_available() else "gloo", watch.place()
    if here.size > 1:
        _join_others(here, backend, on_stop)
    else:
        os.environ.setdefault("LOCAL_RANK", "0")
        dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1)


def leave() -> None:
    """Take no part in collectives any more."""
    watch.leave()
    dist.destroy_process_group()
    time.sleep(LINGER_SECONDS)


def tell(order: dict[str, Any], device: torch.device) -> None:
    """Send an order to every other rank (rank 0)."""
    if dist.get_world_size() == 1:
        return
    packed = torch.frombuffer(bytearray(pack(order)), dtype=torch.uint8).to(device)
    dist.broadcast(torch.tensor([len(packed)], device=device), src=0)
    dist.broadcast(packed, src=0)


def hear(device: torch.device) -> dict[str, Any]:
    """Wait for rank 0's next order (the other ranks)."""
    size = torch.zeros(1, dtype=torch.int64, device=device)
    dist.broadcast(size, src=0)
    packed = torch.zeros(int(size), dtype=torch.uint8, device=device)
    dist.broadcast(packed, src=0)
    return unpack(packed.cpu().numpy().tobytes())


def pack(order: dict[str, Any]) -> bytes:
    """An order as it travels; a Sequence becomes its values, numbers stay what they are."""
    packed: bytes = msgpack.packb(order, default=_values)
    return packed


def unpack(packed: bytes) -> dict[str, Any]:
    """An order, with tuples where there were lists or tuples."""
    order: dict[str, Any] = msgpack.unpackb(packed, use_list=False)
    return order


def _values(sequence: Sequence) -> tuple[Any, ...]:
    """Not by `dataclasses.astuple`, which copies token by token."""
    return tuple(getattr(sequence, name) for name in Sequence.__slots__)


# --- coming together ---------------------------------------------------------------------------


def _join_others(here: Place, backend: str, on_stop: Callable[[], None]) -> None:
    if backend == "nccl":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store = _meet(here)
    with _deadline(here, JOIN_SECONDS, "no connection with rank 0: is there a firewall?"):
        own = watch.begin(here, store, on_stop)
    if here.rank > 0:
        own.heed_signals()
    with _deadline(here, FIRST_SECONDS, f"no first sum over all ranks: {CHANNELS}"):
        dist.init_process_group(
            backend, store=store, rank=here.rank, world_size=here.size, timeout=PATIENCE
        )
        _sum_once(here, "cuda" if backend == "nccl" else "cpu")


def _meet(here: Place) -> Store:
    """Where the ranks find each other, once all have come."""
    until = time.monotonic() + JOIN_SECONDS
    logger.info("%s waits for the others, %g s at most", here, JOIN_SECONDS)
    store = _store(here)
    keys = {f"here/{rank}": rank for rank in range(here.size)}
    store.set(f"here/{here.rank}", "")
    try:
        store.wait(list(keys), timedelta(seconds=max(0.1, until - time.monotonic())))
    except dist.DistStoreError:
        missing = [str(rank) for key, rank in keys.items() if not store.check([key])]
        raise RanksError(
            f"{here}: rank {', '.join(missing)} has not come within {JOIN_SECONDS:g} s: was it "
            "started, with the same MASTER_ADDR, MASTER_PORT and WORLD_SIZE? See its own output"
        ) from None
    return store


def _store(here: Place) -> Store:
    """torchrun's own store, with new keys after a restart; otherwise rank 0 has it."""
    try:
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    except (KeyError, ValueError) as error:
        raise RunError(f"{here}: MASTER_ADDR or MASTER_PORT is missing: use torchrun") from error
    is_first = here.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    where = f"at {host}:{port} (MASTER_ADDR, MASTER_PORT)"
    try:
        with _deadline(here, JOIN_SECONDS, f"no rank 0 {where}: was it started?"):
            store = TCPStore(
                host, port, here.size, is_first, wait_for_workers=False, multi_tenant=True
            )
    except dist.DistError as error:
        line = str(error).splitlines()[0]
        raise RanksError(f"{here}: no place to meet {where}: {line}") from None
    return PrefixStore(f"openrs/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


@contextmanager
def _deadline(here: Place, seconds: float, otherwise: str) -> Iterator[None]:
    """End all ranks when this takes longer: what hangs in a library cannot be interrupted."""
    timer = threading.Timer(
        seconds, watch.give_up, (f"{here}: after {seconds:g} s {otherwise}", EXIT_FAULT)
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _sum_once(here: Place, device: str) -> None:
    """Sum 1 + 2 + ... over all ranks, many times over: a broken link hangs, or gives nonsense."""
    values = torch.full((1 << 18,), here.rank + 1.0, device=device)
    dist.all_reduce(values)
    right = here.size * (here.size + 1) / 2
    if not bool((values == right).all()):
        raise RanksError(f"{here}: the first sum over all ranks is wrong: {CHANNELS}")
