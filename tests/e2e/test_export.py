"""An exported model answers the same everywhere: in transformers, in vLLM, and in the ring.

`python tests/e2e/test_export.py DIRECTORY CONVERSATIONS ANSWERS` is the process in which vLLM
answers, as anybody would start it: nothing of openrs is in it.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from textwrap import indent

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from openrs_core.ledger import Policy
from openrs_core.recipe.file import load
from openrs_core.ring.queue import Queue
from openrs_core.weights import Publisher
from openrs_core.wire.messages import RolloutGroup, Sampling
from services.issuing.rendering import Renderer, conversation
from services.model.weights import base_policy
from services.toy.task import take
from tests.builders import a_prompt
from tests.conftest import wait_until
from tests.e2e.ring import ROOT, TOY, command, sets, start, up

PROBLEMS, MAX_TOKENS = 48, 48

PLAIN = {
    "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1",
    "TORCHDYNAMO_DISABLE": "1", "VLLM_USE_AOT_COMPILE": "0", "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}  # fmt: skip
"""What keeps vLLM small and quiet on a machine without a GPU; no setting of openrs."""

Answers = list[list[int]]

pytestmark = [pytest.mark.e2e, pytest.mark.redis, pytest.mark.timeout(600)]


def answer_with_vllm(directory: str, asked: str, answers: str) -> None:
    """Token ids of greedy answers."""
    from vllm import LLM, SamplingParams

    conversations = json.loads(Path(asked).read_text())
    # as the card says: by itself, vLLM computes float32 weights in bfloat16
    llm = LLM(directory, dtype="float32", max_model_len=256, enforce_eager=True)
    found = llm.chat(
        conversations, SamplingParams(temperature=0, max_tokens=MAX_TOKENS), use_tqdm=False
    )
    ids = [list(each.outputs[0].token_ids) for each in found]
    Path(answers).write_text(json.dumps(ids))


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """The toy, trained for a few steps and given out."""
    directory = tmp_path_factory.mktemp("export")
    found = up(directory, "mine")
    assert found.returncode == 0, found.stderr
    arguments = ("export", str(directory / "mine"), str(directory / "model"))
    subprocess.run(command(*arguments), check=True, cwd=ROOT)
    return directory / "model"


@pytest.fixture(scope="module")
def problems() -> list[str]:
    return [each.problem for each in take("held_out", 4, 0, PROBLEMS)]


@pytest.fixture(scope="module")
def by_transformers(exported, problems) -> Answers:
    """As the card says to use it, but greedy."""
    tokenizer = AutoTokenizer.from_pretrained(exported)
    model = AutoModelForCausalLM.from_pretrained(exported, dtype="auto")
    assert model.dtype == torch.float32
    answers = []
    for problem in problems:
        asked = tokenizer.apply_chat_template(
            conversation(load(TOY).data, problem),
            add_generation_prompt=True, return_tensors="pt", return_dict=True,
        )  # fmt: skip
        found = model.generate(
            **asked, max_new_tokens=MAX_TOKENS, do_sample=False, temperature=None, top_p=None
        )
        answers.append(found[0, asked["input_ids"].shape[1] :].tolist())
    return answers


def test_the_answers_differ_and_end(by_transformers):
    """So that equal answers say something. Who does not think has some twenty to choose from."""
    assert len(by_transformers) == PROBLEMS >= 32
    assert len({tuple(answer) for answer in by_transformers}) >= 10
    assert sum(len(answer) < MAX_TOKENS for answer in by_transformers) > PROBLEMS / 2


def test_vllm_gives_the_same_answers(exported, problems, by_transformers, tmp_path):
    asked, answers = tmp_path / "asked.json", tmp_path / "answers.json"
    asked.write_text(json.dumps([conversation(load(TOY).data, each) for each in problems]))
    found = subprocess.run(
        [sys.executable, __file__, str(exported), str(asked), str(answers)],
        capture_output=True, text=True, check=False, env={**os.environ, **PLAIN}, cwd=tmp_path,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert json.loads(answers.read_text()) == by_transformers


def test_the_ring_gives_the_same_answers(
    exported, problems, by_transformers, tmp_path, client, redis_url, run_id
):
    """A real sampler, which takes up what anybody issues."""
    (tmp_path / "problems.jsonl").write_text('{"problem": "What is 1+1?", "answer": "2"}\n')
    values = [f"model.path={exported}", f"data.train={tmp_path}/problems.jsonl", "data.held_out="]
    recipe = load(TOY, values)
    publisher, queue = Publisher(client, run_id, 100), Queue(client, run_id, "client")
    publisher.begin(Policy(1, 0), base_policy(str(exported), recipe.model.dtype))
    sampler = start(
        tmp_path / "sampler.log", "sampler", "--recipe", str(TOY), *sets(values),
        "--run", run_id, "--redis", redis_url,
    )  # fmt: skip
    try:
        rendered = Renderer(recipe.data, AutoTokenizer.from_pretrained(exported))
        greedy = Sampling(temperature=0, max_tokens=MAX_TOKENS, group_size=1)
        queue.publish(
            "prompts",
            [
                replace(a_prompt(f"1.{n}"), token_ids=rendered.tokens(each), sampling=greedy)
                for n, each in enumerate(problems)
            ],
        )
        found: dict[str, list[int]] = {}

        def all_there() -> bool:
            assert sampler.poll() is None, (tmp_path / "sampler.log").read_text()
            for taken in queue.read("rollouts", RolloutGroup, PROBLEMS, 0.5):
                group = taken.message
                found[group.prompt.group_id] = list(group.completions[0].token_ids)
            return len(found) == PROBLEMS

        wait_until(all_there, "every answer", 300)
    finally:
        sampler.terminate()
        sampler.wait(60)
        publisher.close()
    assert [found[f"1.{n}"] for n in range(PROBLEMS)] == by_transformers


@pytest.mark.parametrize("library", ["transformers", "vLLM"])
def test_the_example_on_the_card_gives_an_answer(exported, library):
    """Copied from it and run, where the model lies under its name."""
    asked, *others = (exported / "README.md").read_text().split("```python\n")[1:]
    code = dict(zip(("transformers", "vLLM"), others, strict=True))[library]
    program = "".join(block.split("```")[0] for block in (asked, code))
    found = subprocess.run(
        [sys.executable, "-c", f"if __name__ == '__main__':\n{indent(program, '    ')}"],
        capture_output=True, text=True, check=False, env={**os.environ, **PLAIN},
        cwd=exported.parent,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "</think>" in found.stdout


if __name__ == "__main__":
    answer_with_vllm(*sys.argv[1:])
