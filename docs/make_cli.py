"""Print docs/cli.md: the help of every command, as the commands themselves give it."""

import os

os.environ.update(COLUMNS="100", TERM="dumb", NO_COLOR="1", _TYPER_FORCE_DISABLE_TERMINAL="1")

from typer.testing import CliRunner

from services.cli import app

COMMANDS = [[], *([command.callback.__name__] for command in app.registered_commands)]
for group in app.registered_groups:
    inner = group.typer_instance.registered_commands
    COMMANDS += [[group.name], *([group.name, command.name] for command in inner)]


def page() -> str:
    """The whole page."""
    parts = ["# Commands\n\nWritten by `make docs`; do not edit.\n"]
    for command in COMMANDS:
        text = CliRunner().invoke(app, [*command, "--help"], prog_name="openrs").output
        lines = "\n".join(line.rstrip() for line in text.strip().splitlines())
        parts.append("## " + " ".join(["openrs", *command]) + f"\n\n```\n{lines}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(page(), end="")
