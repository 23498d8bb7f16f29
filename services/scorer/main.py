"""`openrs scorer`: puts the loop together."""

from contextlib import ExitStack, closing
from pathlib import Path

from openrs_core.lifecycle import Settings, running
from openrs_core.recipe.ring import RingRecipe
from openrs_core.recipe.scorer import ScorerSection
from openrs_core.ring.agreement import agree
from openrs_core.ring.connection import connect
from openrs_core.ring.queue import Queue
from services.scorer.loop import run
from services.scorer.rewards.language import refuse_unknown_language
from services.scorer.rewards.own import OwnRewards, refuse_unusable
from services.scorer.verifier import VerifierPool


def main(recipe: RingRecipe, settings: Settings, rewards: Path) -> None:
    """Score for a run until told to stop; `rewards` is where modules of the user's own may lie."""
    rules = recipe.scorer
    with running("scorer", settings) as stop, ExitStack() as cleanup:
        refuse_impossible(rules, rewards)
        client = connect(settings.redis_url, stop)
        agree(client, settings.run, recipe)
        queue = Queue(client, settings.run, settings.name, recipe.redelivery_seconds)
        verifiers = cleanup.enter_context(closing(VerifierPool(rules)))
        own = None
        if rules.own_rewards:
            own = cleanup.enter_context(closing(OwnRewards(rules, rewards)))
        stop.ready()
        run(queue, verifiers, rules, stop, own)


def refuse_impossible(rules: ScorerSection, rewards: Path) -> None:
    """Raise RecipeError when a reward cannot be had on this machine."""
    refuse_unknown_language(rules.language)
    refuse_unusable(rules, rewards)
