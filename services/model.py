"""Where a recipe's model is: the embedded toy, a local directory, or a Hugging Face hub id."""

from pathlib import Path

from openrs_core.errors import RunError
from openrs_core.recipe import Recipe


def model_directory(recipe: Recipe) -> str:
    """What transformers and vLLM are given to load.

    Raises:
        RunError: a path that is no model directory.
    """
    path = recipe.model.path
    if path == "toy":
        from services.toy.cache import ensure_toy

        return str(ensure_toy(recipe))
    looks_local = path.startswith((".", "/", "~")) or path.count("/") != 1
    directory = Path(path).expanduser()
    if directory.is_dir():
        if not (directory / "config.json").exists():
            raise RunError(f"model.path is {path!r}: no config.json there; give a model directory")
        return str(directory)
    if looks_local:
        raise RunError(
            f"model.path is {path!r}: no such directory; give one, or a hub id owner/name"
        )
    return path
