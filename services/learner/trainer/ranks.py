"""How rank 0 tells the others what to do: one broadcast of an order."""

import os
import time
from datetime import timedelta
from typing import Any

import msgpack
import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore

PATIENCE = timedelta(days=1)
"""How long a rank waits for rank 0, which may itself wait for groups or an evaluation."""

LINGER_SECONDS = 0.2
"""gloo's thread lets go of the last collective a moment after it is over, and needs the interpreter
for that: if that is ending already, the process aborts (exit code -6)."""


def join() -> None:
    """Join the other ranks, or be the only one."""
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    if dist.is_initialized():
        return
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        if backend == "nccl":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group(backend, timeout=PATIENCE)
    else:
        os.environ.setdefault("LOCAL_RANK", "0")
        dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1)


def leave() -> None:
    """Take no part in collectives any more."""
    dist.destroy_process_group()
    time.sleep(LINGER_SECONDS)


def tell(order: dict[str, Any], device: torch.device) -> None:
    """Send an order to every other rank (rank 0)."""
    if dist.get_world_size() == 1:
        return
    packed = torch.frombuffer(bytearray(msgpack.packb(order)), dtype=torch.uint8).to(device)
    dist.broadcast(torch.tensor([len(packed)], device=device), src=0)
    dist.broadcast(packed, src=0)


def hear(device: torch.device) -> dict[str, Any]:
    """Wait for rank 0's next order (the other ranks)."""
    size = torch.zeros(1, dtype=torch.int64, device=device)
    dist.broadcast(size, src=0)
    packed = torch.zeros(int(size), dtype=torch.uint8, device=device)
    dist.broadcast(packed, src=0)
    order: dict[str, Any] = msgpack.unpackb(packed.cpu().numpy().tobytes(), use_list=False)
    return order
