"""Where a run that is named on the command line is."""

from pathlib import Path


def directory_of(run: str, runs: Path) -> Path:
    """A run's directory, given as itself or by the run id; it need not exist."""
    return Path(run) if Path(run).is_dir() else runs / run


def redis_of(directory: Path, redis_url: str | None) -> str | None:
    """The address of a run's Redis: the one that is given, else that of its `openrs up`."""
    own = directory / "redis" / "url"
    return redis_url or (own.read_text().strip() if own.exists() else None)
