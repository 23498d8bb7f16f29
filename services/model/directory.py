"""Where a recipe's model is: the embedded toy, a local directory, or a Hugging Face hub id."""

from pathlib import Path

from openrs_core.errors import RunError
from openrs_core.recipe.ring import RingRecipe

_UNUSED = [
    "*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack", "*.gguf", "*.onnx", "*.py",
]  # fmt: skip
"""Other forms of the weights, and code; safetensors are what is loaded, and can hold no code."""


def model_directory(recipe: RingRecipe) -> str:
    """The local directory that transformers and vLLM are to load; made or fetched if need be.

    Raises:
        RunError: no model is there, or the hub has none of that name, or its weights are in a
            form that can hold code.
    """
    path = recipe.model.path
    if path == "toy":
        from services.toy.cache import ensure_toy  # imports torch only when it must make one

        return str(ensure_toy(recipe))
    directory = Path(path).expanduser()
    if directory.is_dir():
        if not (directory / "config.json").exists():
            raise RunError(f"model.path is {path!r}: no config.json there; give a model directory")
        return _safe(path, directory)
    if path.startswith((".", "/", "~")) or path.count("/") != 1:
        raise RunError(f"model.path is {path!r}: no such directory; give one, or a hub id")
    return _safe(path, _fetch(path))


def _safe(path: str, directory: Path) -> str:
    """The directory, unless only weights lie there that are unpickled when they are loaded."""
    if not any(directory.glob("*.safetensors")):
        raise RunError(
            f"model.path is {path!r}: no *.safetensors there, and weights in other forms are not "
            "loaded, as they can hold code; convert them with save_pretrained"
        )
    return str(directory)


def _fetch(hub_id: str) -> Path:
    """The hub's files, from its cache or downloaded with a progress bar."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, ignore_patterns=_UNUSED))
    except Exception as error:  # the hub's client raises a dozen kinds for "not to be had"
        raise RunError(
            f"model.path is {hub_id!r}: no directory, and the Hugging Face hub did not give it "
            f"({type(error).__name__}); check the name and the network, or give a directory"
        ) from error
