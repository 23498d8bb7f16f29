"""Make the terminal pictures of docs/first-run.md from a real run: `make pictures`.

Needs tmux, which runs the README's commands on a screen of its own; the screen is read back with
its colours and drawn as SVG.
"""

import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
SESSION = "openrs-pictures"

for name in ("MAKEFLAGS", "MAKELEVEL"):  # else the make on the screen says where it is
    os.environ.pop(name, None)
WIDTH, HEIGHT = 100, 28


def tmux(*arguments: str) -> str:
    """Run tmux; its output."""
    found = subprocess.run(
        ["tmux", "-L", SESSION, *arguments], check=True, capture_output=True, text=True
    )
    return found.stdout


def screen() -> str:
    """What stands on the screen now, with its colours."""
    return tmux("capture-pane", "-p", "-e", "-t", SESSION).rstrip()


def picture(name: str, title: str) -> None:
    """Keep the screen as docs/pictures/NAME.svg."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text.from_ansi(screen()))
    target = HERE / "pictures" / f"{name}.svg"
    target.parent.mkdir(exist_ok=True)
    target.write_text(clean(console.export_svg(title=title)), encoding="utf-8")
    print(target)


def clean(svg: str) -> str:
    """The picture without fonts from the network, and without where the environment lies."""
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return svg.replace(os.environ.get("VENV", ".venv"), ".venv")


def await_text(text: str, seconds: float = 600.0) -> None:
    """Wait until a text stands on the screen."""
    deadline = time.monotonic() + seconds
    while text not in screen():
        if time.monotonic() > deadline:
            sys.exit(f"waited in vain for {text!r}; the screen:\n{screen()}")
        time.sleep(0.2)


def main() -> None:
    """The demo from its first line to its last, with nothing in the cache."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["OPENRS_CACHE"] = cache  # what tmux starts inherits it
        take_pictures()


def take_pictures() -> None:
    """Type the command; keep the screen three times."""
    tmux("new-session", "-d", "-s", SESSION, "-x", str(WIDTH), "-y", str(HEIGHT), "env PS1='$ ' sh")
    try:
        tmux("send-keys", "-t", SESSION, "clear; make demo SEED=4", "Enter")
        await_text("learning to think")
        await_text("/600")
        picture("warm-start", "make demo: the warm start")
        await_text("step")
        await_text("20 of")
        picture("training", "make demo: training")
        await_text('"held_out_after"')
        picture("finished", "make demo: the end")
    finally:
        tmux("kill-server")


if __name__ == "__main__":
    main()
