"""What the lines of a run's record say: one frozen type for each kind.

`metrics.jsonl` holds one `Line` after another, as JSON with a `kind`; `samples.jsonl` holds
`SampleLine`s. A line is written once and never changed. What a later life of the learner makes void
is told by its `LifeLine` (see `reader`).
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from openrs_core.errors import RecordError
from openrs_core.wire.messages import Form, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """Seconds of one step, by part."""

    collect: float
    """Waiting for groups."""
    train: float
    publish: float
    """Finding what changed, and waiting for the version before to be published."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupOrigin:
    """Which policies made a group, as the sampler recorded them: enough to audit staleness."""

    group_id: str
    position: int
    oldest: tuple[int, int]
    """Incarnation and version of the oldest policy that made a token."""
    newest: tuple[int, int]
    staleness: int
    """Optimizer steps between the learner and the farthest of them, when the step was made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """All groups of the training that were scored since the step before, those without signal too.

    What a step is made of are the groups with signal, which is a choice: a curve of these alone
    says nothing of how good the policy is. A mean of nothing is None.
    """

    groups: Mapping[str, int]
    """How many, by outcome (`algorithm.outcome`); those that are none are left out."""
    completions: Mapping[Verdict, int]
    """How many, by verdict."""
    reward: float | None
    """Mean; this and the next two over verified completions."""
    components: Mapping[str, float]
    """Mean of each component of the reward, by name."""
    accuracy: float | None
    """Share whose verdict is `correct`."""
    completion_tokens: float | None
    """Mean length; this and the next two over all completions."""
    truncated: float | None
    """Share that `max_tokens` cut off."""
    language: float | None
    """Mean share of the language asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LifeLine:
    """A life of the learner begins with this policy; steps of earlier lives above it are void."""

    kind: Literal["life"] = "life"
    time: float = field(default_factory=time.time)
    """Unix time, seconds; so in every line."""
    incarnation: int
    version: int
    problems: int | None = None
    """That it trains on; None: not known, or it trains on none."""
    too_long: int = 0
    """That are left out beside them, as their prompts are too long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepLine:
    """One optimizer step, which made the policy `incarnation`:`version`.

    Means are over the step's completions, those of reward, components and accuracy over what of
    them was verified, those of loss, entropy and the like over its tokens.
    """

    kind: Literal["step"] = "step"
    time: float = field(default_factory=time.time)
    version: int
    incarnation: int
    reward: float
    components: Mapping[str, float]
    """Mean of each component of the reward, by name."""
    accuracy: float
    """Share of completions whose verdict is `correct`."""
    completion_tokens: float
    """Mean length."""
    truncated: float
    """Share of completions that `max_tokens` cut off."""
    staleness_max: int
    staleness_mean: float
    completions: int
    lr: float
    loss: float
    grad_norm: float
    """Before clipping."""
    entropy: float
    """Nats."""
    mismatch_kl: float
    """k3 of learner against behaviour policy, nats."""
    log_ratio_mean: float
    """Mean |log ratio| of learner and behaviour policy, nats."""
    log_ratio_max: float
    """And the largest."""
    ratio_max: float
    """Largest importance ratio."""
    clipped: float
    """Share of tokens whose ratio was capped or clipped."""
    clipped_positive: float
    """The part of them that had a positive advantage, as a share of all tokens."""
    clipped_negative: float
    """And a negative one."""
    outside: float
    """Share of tokens whose ratio was outside [0.9, 1.1]."""
    ess: float
    """Effective sample size as a share of the tokens: (sum w)^2 / (N sum w^2), w the ratios."""
    tokens: int
    """Completion tokens trained on."""
    scored: Scored
    seconds: Spent
    groups: tuple[GroupOrigin, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedLine:
    """One step that was not made; the policy stayed `incarnation`:`version`."""

    kind: Literal["skipped"] = "skipped"
    time: float = field(default_factory=time.time)
    version: int
    incarnation: int
    reason: str
    """In words."""
    loss: float | None
    """None: not finite, which JSON has no number for."""
    grad_norm: float | None
    groups: tuple[GroupOrigin, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationLine:
    """What a policy answered on a set of held-out problems, in one mode; all of it by itself."""

    kind: Literal["evaluation"] = "evaluation"
    time: float = field(default_factory=time.time)
    version: int
    """The policy `incarnation`:`version` made every token of it."""
    incarnation: int
    set: str
    """Its name; `held_out` where the recipe names none."""
    mode: Literal["sampled", "greedy"]
    accuracy: float
    """Mean over problems of the share of correct completions (pass@1)."""
    standard_error: float | None
    """Of the accuracy, over problems; None: there is only one."""
    truncated: float
    """Share of completions that `max_tokens` cut off."""
    unverified: int
    """Completions whose verdict was `error`; they count as not correct, as all that is not."""
    failed: int
    """Problems for which nothing could be sampled; they count as not correct."""
    tokens: float
    """Mean completion length."""
    problems: int
    too_long: int
    """Problems of the set's source that were left out, as their prompts are too long."""
    completions: int
    temperature: float
    top_p: float
    max_tokens: int
    """Longest completion."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnevaluatedLine:
    """A version whose turn it was, and that was never evaluated."""

    kind: Literal["unevaluated"] = "unevaluated"
    time: float = field(default_factory=time.time)
    version: int
    reason: str
    """In words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgressLine:
    """How far a client that learns nothing has come: an evaluation, a stage of a curation."""

    kind: Literal["progress"] = "progress"
    time: float = field(default_factory=time.time)
    stage: str
    """What is being done, in a few words."""
    done: int
    """Completions, or problems, of `total`."""
    total: int
    tokens: int
    """Completion tokens that came back in this life."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsLine:
    """One finished publication of weights."""

    kind: Literal["weights"] = "weights"
    time: float
    version: int
    incarnation: int
    form: Form
    size: int
    """Bytes of all chunks together."""
    whole_size: int
    """Bytes of the whole policy."""
    values: int
    """How many values the chunks hold."""
    seconds: float
    """As in the manifest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleLine:
    """One completion of a step, to read."""

    version: int
    """Which the step made."""
    prompt_id: str
    answer: str
    """The reference answer."""
    text: str
    verdict: Verdict
    reward: float


Line = (
    LifeLine
    | StepLine
    | SkippedLine
    | EvaluationLine
    | UnevaluatedLine
    | ProgressLine
    | WeightsLine
)

_LINES: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


def written(line: Line | SampleLine) -> str:
    """A line as it stands in its file, with the newline."""
    return json.dumps(asdict(line)) + "\n"


def read(text: str | bytes) -> Line:
    """A line of `metrics.jsonl`.

    Raises:
        RecordError: it is no line of a record, or lacks something that its kind has.
    """
    try:
        return _LINES.validate_json(text)
    except ValidationError as error:
        raise RecordError(_first_fault(error)) from error


def _first_fault(error: ValidationError) -> str:
    fault: Any = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, fault["loc"]))
    return f"{where}: {fault['msg']}" if where else str(fault["msg"])
