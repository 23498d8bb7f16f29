"""`openrs scorer`: puts the loop together."""

from openrs_core.lifecycle import Settings, running
from openrs_core.recipe.ring import RingRecipe
from openrs_core.ring.agreement import agree
from openrs_core.ring.connection import connect
from openrs_core.ring.queue import Queue
from services.scorer.loop import run
from services.scorer.verifier import VerifierPool


def main(recipe: RingRecipe, settings: Settings) -> None:
    """Score for a run until told to stop."""
    with running("scorer", settings) as stop:
        client = connect(settings.redis_url, stop)
        agree(client, settings.run, recipe)
        queue = Queue(client, settings.run, settings.name, recipe.redelivery_seconds)
        verifiers = VerifierPool(recipe.scorer)
        try:
            stop.ready()
            run(queue, verifiers, recipe.scorer, stop)
        finally:
            verifiers.close()
