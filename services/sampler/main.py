"""`openrs sampler`: puts the loop together."""

from contextlib import closing

from openrs_core.lifecycle import Settings, running
from openrs_core.recipe.ring import RingRecipe
from openrs_core.ring.agreement import agree
from openrs_core.ring.connection import connect
from openrs_core.ring.queue import Queue
from openrs_core.weights import Receiver
from services.model.directory import model_directory
from services.sampler.loop import run


def main(recipe: RingRecipe, settings: Settings) -> None:
    """Sample for a run until told to stop."""
    with running("sampler", settings) as stop:
        client = connect(settings.redis_url, stop)
        agree(client, settings.run, recipe)
        model = model_directory(recipe)
        from services.sampler.engine import VllmEngine

        engine = VllmEngine(recipe, model, settings.name)
        queue = Queue(client, settings.run, settings.name, recipe.redelivery_seconds)
        receiver = Receiver(client, settings.run, settings.name, engine.base())
        stop.ready()
        with closing(receiver):
            receiver.start()
            run(queue, engine, receiver, stop)
