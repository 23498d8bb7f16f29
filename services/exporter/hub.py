"""Publishing an exported directory on the Hugging Face hub: only where that is asked for.

The network's part is tested with a hub of the tests' own, never with the real one.
"""

import re
from pathlib import Path
from typing import Any, Protocol

from openrs_core.errors import RunError

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")

_REFUSED = {
    401: "the hub does not know the token; log in again: hf auth login",
    403: "the token may not write there; take one that may, or another owner",
    404: "there is no such owner, or the token may not see it; check the name",
    409: "the hub is at odds with itself over that name; try again",
}
"""What the hub's answer means, and the remedy."""


class Hub(Protocol):
    """What is asked of `huggingface_hub.HfApi`."""

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> Any:
        """Make a repository, if it is not there."""

    def model_info(self, repo_id: str) -> Any:
        """What the hub says of one: whether it is `private`."""

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> Any:
        """One commit that holds every file of a directory."""


def connect(repo_id: str) -> Hub:
    """The hub, before anything is written for it.

    Raises:
        RunError: the name is none, or there is no token here.
    """
    from huggingface_hub import HfApi, get_token

    if not _ID.fullmatch(repo_id):
        raise RunError(f"--push {repo_id!r} is no repository's name; give owner/name")
    if not get_token():
        raise RunError(
            f"--push {repo_id}: no token for the Hugging Face hub here; log in (hf auth login) or "
            "set HF_TOKEN"
        )
    hub: Hub = HfApi()
    return hub


def push(hub: Hub, directory: Path, repo_id: str, *, private: bool) -> str:
    """Publish the directory as a model's repository, made if it is not there.

    Raises:
        RunError: the hub refuses or cannot be reached, or everybody may read a repository that is
            to be private; the directory stays.
    """
    try:
        hub.create_repo(repo_id, private=private, exist_ok=True)
        if private and not hub.model_info(repo_id).private:
            raise RunError(
                f"--private: the repository {repo_id} is there already, and everybody may read it; "
                "make it private on the hub, or give another name"
            )
        hub.upload_folder(
            repo_id=repo_id, folder_path=directory, commit_message="Exported by openrs"
        )
    except RunError:
        raise
    except Exception as error:  # the hub's client raises dozens of kinds
        raise RunError(
            f"--push {repo_id}: {_why(error)}. The model is whole in {directory}; publish it from "
            f"there: hf upload {repo_id} {directory}"
        ) from error
    return f"https://huggingface.co/{repo_id}"


def _why(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in _REFUSED:
        return _REFUSED[status]
    said = str(error).strip().partition("\n")[0][:200]
    return f"the hub could not take it ({type(error).__name__}: {said})"
