"""Everything that travels between processes, and nothing else.

    Prompt -> [sampler] -> RolloutGroup -> [scorer] -> ScoredGroup -> [learner] -> WeightsManifest

A message is frozen. A process that adds knowledge wraps the older message (a ScoredGroup holds
a RolloutGroup), so no field is ever filled in later. Arrays are tuples here and little-endian
bytes on the wire (see `codec`).
"""

import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, FiniteFloat, PlainSerializer

Purpose = Literal["train", "eval"]
Verdict = Literal["correct", "incorrect", "no_answer", "timeout", "error"]
FinishReason = Literal["stop", "length"]
Form = Literal["named", "delta", "snapshot"]


def _packed(typecode: Literal["i", "f"]) -> tuple[BeforeValidator, PlainSerializer]:
    """Wire form of an int32 or float32 array: little-endian bytes, 4 per value."""

    def pack(values: tuple[int, ...] | tuple[float, ...]) -> bytes:
        packed = array(typecode, values)
        if sys.byteorder == "big":
            packed.byteswap()
        return packed.tobytes()

    def unpack(value: Any) -> Any:
        if not isinstance(value, bytes):
            return value
        unpacked = array(typecode)
        unpacked.frombytes(value)  # ValueError when the length is no multiple of 4
        if sys.byteorder == "big":
            unpacked.byteswap()
        return tuple(unpacked)

    return BeforeValidator(unpack), PlainSerializer(pack)


_INT32, _FLOAT32 = _packed("i"), _packed("f")

TokenIds = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], *_INT32]
Logprobs = Annotated[tuple[Annotated[FiniteFloat, Field(le=0)], ...], *_FLOAT32]
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How the completions of one prompt are drawn."""

    temperature: Annotated[FiniteFloat, Field(ge=0)]
    """0 is greedy; otherwise logits are divided by it, by sampler and learner alike."""

    max_tokens: Annotated[int, Field(ge=1)]
    """Longest completion, in tokens."""

    group_size: Annotated[int, Field(ge=1)]
    """Completions drawn for the prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """One issue of one problem: tokens in, so that nobody renders it twice.

    Example:
        Prompt(group_id="1.17", prompt_id="chain-sum/8+9-4-6", position=17, purpose="train",
               incarnation=1, issued_version=3, issued_at=1.7e9, token_ids=(305, 11, ...),
               answer="7", sampling=Sampling(temperature=1.0, max_tokens=96, group_size=8))
    """

    group_id: Annotated[str, Field(min_length=1, max_length=200)]
    """Unique within the run: incarnation and sequence number, or the evaluation's own id."""

    prompt_id: str
    """Which problem of the data set."""

    position: Count
    """Its place in the data order, or among the problems of the evaluation."""

    purpose: Purpose
    """`eval` groups travel the same ring and are never trained on."""

    incarnation: Count
    """The life of the learner that issued it."""

    issued_version: Count
    """Newest policy version published when it was issued: no older one may sample it."""

    issued_at: FiniteFloat
    """Unix time, seconds."""

    token_ids: TokenIds  # [P]
    """The rendered prompt, chat template and all."""

    answer: str
    """Reference answer, for the scorer."""

    sampling: Sampling


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyRun:
    """`count` consecutive tokens made by one policy."""

    incarnation: Count
    version: Count
    count: Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """One sampled answer, with what off-policy correction needs to know about its making.

    Example:
        Completion(token_ids=(9707, 13), behaviour_logprobs=(-0.2, -1.1),
                   policies=(PolicyRun(incarnation=1, version=7, count=1),
                             PolicyRun(incarnation=1, version=8, count=1)),
                   finish_reason="stop", text="42.")
        # the weights moved from version 7 to 8 while it was being sampled
    """

    token_ids: TokenIds  # [T]
    """Sampled tokens, with the end-of-sequence token if there was one."""

    behaviour_logprobs: Logprobs  # [T]
    """log mu(token) under the policy that sampled it, at the sampling temperature; float32."""

    policies: tuple[PolicyRun, ...]
    """Which policy made which tokens, in order; the counts add up to T."""

    finish_reason: FinishReason
    text: str

    def __post_init__(self) -> None:
        """Raise ValueError when the three per-token fields disagree about T."""
        tokens, made = len(self.token_ids), sum(run.count for run in self.policies)
        if not tokens == len(self.behaviour_logprobs) == made:
            raise ValueError(
                f"{tokens} token_ids, {len(self.behaviour_logprobs)} behaviour_logprobs and "
                f"{made} tokens in policies: the three must agree"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutGroup:
    """A prompt and the completions drawn for it."""

    prompt: Prompt

    completions: tuple[Completion, ...]
    """`group_size` of them, or none when sampling failed."""

    sampler: str
    """Which sampler made it."""

    failure: str = ""
    """Why there are no completions; empty otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """What the scorer says of one completion. A fact: advantages are the learner's choice."""

    reward: FiniteFloat
    """Weighted sum of the components."""

    components: Mapping[str, FiniteFloat]
    """Each named reward, before its weight."""

    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredGroup:
    """A rollout group and one score per completion."""

    rollout: RolloutGroup
    scores: tuple[Score, ...]

    def __post_init__(self) -> None:
        """Raise ValueError when a completion has no score, or a score no completion."""
        if len(self.scores) != len(self.rollout.completions):
            raise ValueError(
                f"{len(self.scores)} scores for {len(self.rollout.completions)} completions"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsManifest:
    """The commit of one published policy: written after its chunks, so it names whole weights.

    Example:
        WeightsManifest(incarnation=1, version=8, form="delta", digest="9f…", base="03…",
                        payload=7, oldest_payload=1, head=b"…", size=1_450_112,
                        checksums=("5e…",), whole_size=269_030_400, values=512_004,
                        published_at=1.7e9, seconds=0.2)
        # whoever holds the weights of digest 03… gets those of 9f… from 1.4 MB
    """

    incarnation: Count
    version: Count

    form: Form
    """`named`: by its digest alone, for those who have it; `delta`: what changed since `base`;
    `snapshot`: whole."""

    digest: str
    """blake3 of the whole policy, layout and values, hex."""

    base: str
    """Digest of the policy a delta applies to; empty for the other forms."""

    payload: Count
    """Number of its chunk stream within the incarnation; `named` has no chunks."""

    oldest_payload: Count
    """Deltas of lower numbers are no longer in Redis."""

    head: bytes
    """Of a delta: see `weights.delta`; of a snapshot: the layout; of `named`: empty."""

    size: Count
    """Bytes of all chunks together."""

    checksums: tuple[str, ...]
    """blake3 of each chunk, hex."""

    whole_size: Count
    """Bytes of the whole policy."""

    values: Count
    """How many values the chunks hold."""

    published_at: FiniteFloat
    """Unix time, seconds."""

    seconds: FiniteFloat
    """From the end of the optimizer step (of a snapshot: from its beginning) to this commit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsTaken:
    """A sampler's note that it put a policy in force."""

    sampler: str
    incarnation: Count
    version: Count
    form: Form

    size: Count
    """Bytes fetched."""

    fetch_seconds: FiniteFloat
    """Fetching, unpacking and checking, beside the sampling."""

    apply_seconds: FiniteFloat
    """Between two steps of the engine: how long nothing was sampled."""

    delay_seconds: FiniteFloat
    """From the manifest to the moment the policy was in force."""


Message = Prompt | RolloutGroup | ScoredGroup | WeightsManifest | WeightsTaken
