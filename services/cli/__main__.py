"""`python -m services.cli`: the `openrs` command, with this Python."""

from services.cli import main

if __name__ == "__main__":
    main()
