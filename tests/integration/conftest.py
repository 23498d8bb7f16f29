"""What integration tests share."""

import pytest

from tests.channel import FakeLearner, FakeSampler


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
