"""What end-to-end tests share."""

import pytest

from openrs_core.recipe.file import load
from services.model.directory import model_directory
from tests.e2e.ring import TOY


@pytest.fixture(scope="session", autouse=True)
def toy() -> None:
    """The toy model is there before a clock runs: it is made once, and that takes half a minute."""
    model_directory(load(TOY))
