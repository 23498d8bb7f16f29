"""Answers that hang, crash or fool a verifier: each costs one verdict, and nothing else."""

import subprocess
import sys
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from multiprocessing import forkserver
from pathlib import Path

import psutil
import pytest

from openrs_core import metrics
from openrs_core.recipe.scorer import ScorerSection
from openrs_core.ring.connection import connect
from openrs_core.ring.queue import Queue
from openrs_core.wire.messages import ScoredGroup
from services.scorer.comparison import compare
from services.scorer.loop import run
from services.scorer.rewards.form import has_format
from services.scorer.verifier import VerifierPool
from tests.builders import a_completion, a_group, a_prompt
from tests.conftest import wait_until
from tests.hostile import CASES, MARK, Hostile
from tests.processes import children_of, of_session

pytestmark = [pytest.mark.redis, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
CPU_SECONDS = 1.0
"""Far more than an answer costs that is to be settled."""

DEADLINE_SECONDS = 250.0
"""More than all of them together may take: on a busy machine too, none is to meet it."""

WORKERS = 2

RULES = ScorerSection(
    workers=WORKERS, cpu_seconds=CPU_SECONDS, deadline_seconds=DEADLINE_SECONDS, memory_mib=1024,
    weights={"accuracy": 1, "format": 1},
)  # fmt: skip
ORDINARY = 200


@dataclass
class Outcome:
    """What came of it all."""

    verdicts: dict[str, list[str]]
    rewards: dict[str, list[float]]
    counted: Counter[str]
    ordinary: list[str]
    killed_by_ordinary: float
    left_over: list[psutil.Process]


def counters() -> Counter[str]:
    kinds = ["correct", "incorrect", "no_answer", "timeout", "error"]
    return Counter({kind: int(metrics.VERDICTS.labels(kind)._value.get()) for kind in kinds})


def killed() -> float:
    return metrics.VERIFIERS_KILLED._value.get()


def put_in(queue: Queue) -> dict[str, list[Hostile]]:
    """One group for each reference, all of them at once; the cases of each by group id."""
    together: dict[str, list[Hostile]] = defaultdict(list)
    for case in CASES:
        together[case.reference].append(case)
    by_group = {f"1.{number}": cases for number, cases in enumerate(together.values())}
    for group_id, cases in by_group.items():
        prompt = replace(a_prompt(group_id, group_size=len(cases)), answer=cases[0].reference)
        completions = tuple(a_completion(case.text) for case in cases)
        queue.publish("rollouts", [replace(a_group(prompt), completions=completions)])
    return by_group


def verified_afterwards(pool: VerifierPool) -> list[str]:
    """The verdicts of ordinary answers."""
    prompt = replace(a_prompt(), answer="\\frac{1}{2}")
    answers = [pool.submit(a_completion(f"\\boxed{{{n}/{2 * n}}}"), prompt) for n in range(1, 201)]
    return [verdict.result() for verdict in answers]


def by_case(
    scored: list[ScoredGroup], by_group: dict[str, list[Hostile]]
) -> tuple[dict[str, list[str]], dict[str, list[float]]]:
    """Verdicts and rewards, by the name of the case."""
    verdicts, rewards = defaultdict(list), defaultdict(list)
    for group in scored:
        cases = by_group[group.rollout.prompt.group_id]
        for case, score in zip(cases, group.scores, strict=True):
            verdicts[case.name].append(score.verdict)
            rewards[case.name].append(score.reward)
    return verdicts, rewards


@pytest.fixture(scope="module")
def outcome(redis_url):
    """Every hostile answer through the scorer's loop, then ordinary ones."""
    client = connect(redis_url)
    client.flushall()
    queue, stop = Queue(client, "hostile", "learner"), threading.Event()
    pool = VerifierPool(RULES)
    before = counters()
    scorer = Queue(client, "hostile", "scorer")
    thread = threading.Thread(target=run, args=(scorer, pool, RULES, stop))
    by_group = put_in(queue)
    thread.start()
    scored: list[ScoredGroup] = []

    def all_back() -> bool:
        taken = queue.read("scored", ScoredGroup, 99)
        queue.ack("scored", taken)
        scored.extend(delivery.message for delivery in taken)
        return len(scored) == len(by_group)

    wait_until(all_back, "every group", 500)
    counted = counters() - before
    already = killed()
    ordinary = verified_afterwards(pool)
    by_ordinary = killed() - already
    stop.set()
    thread.join()
    pool.close()
    verdicts, rewards = by_case(scored, by_group)
    left_over = children_of(forkserver._forkserver._forkserver_pid)
    client.close()
    return Outcome(
        verdicts, rewards, counted, ordinary, by_ordinary, left_over
    )  # fmt: skip


def test_there_are_enough_of_them():
    assert len({case.name for case in CASES}) == len(CASES) >= 60


def test_every_answer_gets_exactly_one_verdict(outcome):
    assert {name: len(found) for name, found in outcome.verdicts.items()} == {
        case.name: 1 for case in CASES
    }


def test_what_cannot_be_settled_is_never_called_incorrect_nor_the_odd_a_failure(outcome):
    wrong = {
        case.name: outcome.verdicts[case.name]
        for case in CASES
        if outcome.verdicts[case.name][0] not in case.allowed
    }
    assert wrong == {}


def test_nothing_is_earned_by_what_nobody_could_settle(outcome):
    """At most the form of a wrong answer, which a timeout is."""
    for case in CASES:
        [verdict], [reward] = outcome.verdicts[case.name], outcome.rewards[case.name]
        form = float(has_format(case.text, RULES.format))
        assert verdict != "error" or reward == 0.0, case.name
        assert verdict != "timeout" or reward == form, case.name


def test_every_verdict_is_counted(outcome):
    assert outcome.counted == Counter(found[0] for found in outcome.verdicts.values())


def test_ordinary_answers_are_verified_afterwards_and_cost_no_verifier(outcome):
    assert outcome.ordinary == ["correct"] * ORDINARY
    assert outcome.killed_by_ordinary == 0


def test_no_process_is_left_over(outcome):
    assert outcome.left_over == []


def test_no_answer_was_run_as_code(outcome):
    assert not MARK.exists()


RAW = {
    "a hundred thousand digits": "7" * 100_000,
    "a hundred thousand decimals": "0." + "3" * 100_000,
    "three thousand brackets": "(" * 3000 + "1" + ")" * 3000,
    "three thousand fractions": "\\frac{1}{" * 3000 + "1" + "}" * 3000,
    "fifty thousand ones": "1 " * 50_000,
    "fifty thousand displays": "\\[" * 50_000,
    "twenty thousand centimetres": "cm " * 20_000,
    "ten thousand boxes": "\\boxed{1}" * 10_000,
    "two thousand elements": "\\{" + ",".join(map(str, range(2000))) + "\\}",
    "sixty rows": "\\begin{pmatrix}" + "\\\\".join(["&".join("1" * 60)] * 60) + "\\end{pmatrix}",
    "a megabyte of braces": "{" * (1 << 20),
}


def test_a_verifier_outlives_or_is_replaced_after_what_the_scorer_would_not_give_it():
    """The scorer looks at 2000 characters of an answer; the verifiers do not count on that."""
    pool = VerifierPool(RULES)
    begun = {
        name: pool.begin(compare, answer, "\\sqrt{50}", CPU_SECONDS) for name, answer in RAW.items()
    }
    verdicts = {name: verdict.result() for name, verdict in begun.items()}
    assert set(verdicts.values()) <= {"incorrect", "timeout"}, verdicts
    assert verified_afterwards(pool) == ["correct"] * ORDINARY
    pool.close()


ENDLESS = """
import itertools, time
from openrs_core.recipe.scorer import ScorerSection
from services.scorer.verifier import VerifierPool

pool = VerifierPool(ScorerSection(workers=2, deadline_seconds=600))
futures = [pool._pool.schedule(sum, args=(itertools.repeat(1),)) for _ in range(2)]
while not all(future.running() for future in futures):
    time.sleep(0.01)
print("calculating", flush=True)
time.sleep(600)
"""


def test_verifiers_die_with_their_scorer_even_in_the_middle_of_an_endless_calculation():
    """`sum` over an endless iterator notices no signal that Python would have to handle."""
    scorer = subprocess.Popen(
        [sys.executable, "-c", ENDLESS], cwd=ROOT, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert scorer.stdout.readline() == "calculating\n"
    assert len(of_session(scorer.pid)) >= 4, "the scorer, the fork server and two verifiers"
    scorer.kill()
    scorer.wait()
    scorer.stdout.close()
    wait_until(lambda: not of_session(scorer.pid), "the end of all its processes", 20)
