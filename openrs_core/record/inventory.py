"""The list of a checkpoint's files with their sizes and digests: what it takes to trust one.

    files.json    {"model/config.json": {"size": 712, "blake3": "…"}, …}

Written when every other file is there, so that a checkpoint without it is unfinished.
"""

import json
from pathlib import Path
from typing import Any

from blake3 import blake3

NAME = "files.json"


def write(directory: Path) -> None:
    """List every file that is there now."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != NAME)
    listed = {
        str(path.relative_to(directory)): {"size": path.stat().st_size, "blake3": _digest(path)}
        for path in files
    }
    (directory / NAME).write_text(json.dumps(listed, indent=1) + "\n")


def fault(directory: Path, *, digests: bool = True) -> str:
    """The first file that is not as it was listed and what is wrong with it; empty: none.

    Without `digests` only what costs no reading is compared.
    """
    try:
        listed = json.loads((directory / NAME).read_text())
        found = (_fault(directory, name, facts, digests) for name, facts in sorted(listed.items()))
        return next(filter(None, found), "")
    except FileNotFoundError:
        return f"{NAME} is missing: it is unfinished"
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        return f"{NAME} cannot be read ({type(error).__name__}: {error})"


def _fault(directory: Path, name: str, facts: dict[str, Any], digests: bool) -> str:
    path = directory / name
    if not path.is_file():
        return f"{name} is missing"
    if (size := path.stat().st_size) != facts["size"]:
        return f"{name} has {size} bytes, {facts['size']} were written"
    if digests and _digest(path) != facts["blake3"]:
        return f"{name} was altered: its digest is another"
    return ""


def _digest(path: Path) -> str:
    return blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()
