"""What integration tests share."""

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.channel import FakeLearner, FakeSampler


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model, and another one where the reference of the KL is looked for."""
    from tests.observed import other_model
    from tests.tiny_model import write_tiny_model

    directory = tmp_path_factory.mktemp("model")
    write_tiny_model(Path(other_model(str(directory))), seed=1)
    return write_tiny_model(directory)


@pytest.fixture(scope="session")
def observed(tiny_model: str, of_all_workers: Path) -> Callable[[int], Path]:
    """Directory with what a number of ranks saw of steps computed in every way; made once."""
    from tests.observed import observe

    def by(count: int) -> Path:
        made = of_all_workers / f"ranks-{count}"
        with FileLock(f"{made}.lock"):
            if not made.exists():
                partial = Path(f"{made}-partial")
                if partial.exists():  # another test, perhaps of another process, has tried
                    logs = "\n".join(log.read_text() for log in sorted(partial.glob("*.log")))
                    pytest.fail(f"{count} ranks have failed before:\n{logs}")
                partial.mkdir()
                observe(count, tiny_model, partial)
                partial.rename(made)
        return made

    return by


@pytest.fixture
def start(client, run_id):
    """Learners and samplers of the test's run; their threads end with the test."""
    made = []

    def learner(**options):
        made.append(FakeLearner(client, run_id, **options))
        return made[-1]

    yield learner, lambda **options: FakeSampler(client, run_id, **options)
    for each in made:
        each.publisher.close()
