"""A client's seat: every life of it asks as the first one did."""

import threading
from pathlib import Path

import pytest

from openrs_core.lifecycle import Settings
from services.evaluator.request import Request, recipe_of
from services.issuing.seat import seated

pytestmark = pytest.mark.redis


def test_a_later_life_begins_when_the_first_one_did(tiny_model, redis_url, run_id, tmp_path):
    """The time is part of every prompt: with another one, no answer would be to what was asked."""
    recipe = recipe_of(
        Request(model=tiny_model, runs=Path(), benchmarks=["mine"], data_dir=_a_set(tmp_path))
    )
    settings = Settings(redis_url=redis_url, run=run_id, name="client")
    seen = []
    for _ in range(3):
        with seated(recipe, settings, tmp_path / "evaluation", threading.Event()) as seat:
            seen.append((seat.policy.incarnation, seat.begun, seat.digest))
    assert [incarnation for incarnation, _, _ in seen] == [1, 2, 3]
    assert len({(begun, digest) for _, begun, digest in seen}) == 1


def _a_set(directory: Path) -> Path:
    (directory / "mine.jsonl").write_text('{"problem": "1+1?", "answer": "2"}\n')
    return directory
