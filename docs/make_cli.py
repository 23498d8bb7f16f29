"""Print docs/cli.md: the help of every command, as the commands themselves give it."""

import os

os.environ.update(COLUMNS="100", TERM="dumb", NO_COLOR="1", _TYPER_FORCE_DISABLE_TERMINAL="1")

from typer.testing import CliRunner

from services.cli import app

COMMANDS = [None, *(command.callback.__name__ for command in app.registered_commands)]


def page() -> str:
    """The whole page."""
    parts = ["# Commands\n\nWritten by `make docs`; do not edit.\n"]
    for command in COMMANDS:
        arguments = [command, "--help"] if command else ["--help"]
        text = CliRunner().invoke(app, arguments, prog_name="openrs").output
        lines = "\n".join(line.rstrip() for line in text.strip().splitlines())
        parts.append(f"## openrs {command or ''}".rstrip() + f"\n\n```\n{lines}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(page(), end="")
