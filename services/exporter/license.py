"""Under which license a base model was given out, by its own card, if that is here."""

from pathlib import Path

README = "README.md"


def license_of(model: str) -> str:
    """The `license` field of a base model's card, a directory's or a hub id's; empty: not known.

    Nothing is fetched: of a hub id, the card in the hub's cache is read.
    """
    from huggingface_hub import metadata_load

    card = _card(model)
    if card is None:
        return ""
    try:
        found = (metadata_load(card) or {}).get("license", "")
    except (OSError, ValueError):  # no such file, or no table at its head
        return ""
    return found if isinstance(found, str) else ""


def _card(model: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    directory = Path(model).expanduser()
    if directory.is_dir():
        return directory / README
    try:
        found = try_to_load_from_cache(model, README)
    except HFValidationError:  # a path that is no longer there
        return None
    return Path(found) if isinstance(found, str) else None
