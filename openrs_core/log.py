"""One log format for every process: time, role, level, message."""

import json
import logging
import sys
from typing import Literal

Format = Literal["plain", "json"]

_QUIET = (
    "vllm",
    "transformers",
    "deepspeed",
    "DeepSpeed",
    "torch",
    "datasets",
    "httpx",
    "filelock",
)


class _Json(logging.Formatter):
    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "time": round(record.created, 3),
                "role": self._role,
                "level": record.levelname.lower(),
                "message": record.getMessage(),
            }
        )


def configure(role: str, form: Format = "plain") -> None:
    """Send every log record of this process to stderr, as `role`; libraries only from warnings."""
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter(f"%(asctime)s {role:<10} %(levelname)-7s %(message)s", "%H:%M:%S")
    handler.setFormatter(_Json(role) if form == "json" else plain)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
