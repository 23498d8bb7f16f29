"""vLLM, stepped in this process: with `worker/`, all that imports it.

Requests are token ids and come back as token ids, each token with its log-probability at the
sampling temperature and the policy that made it. New weights are written into the model between
two steps, by a method of ours in each of vLLM's workers (`worker/extension.py`): nothing is
aborted, the key-value cache is kept, and vLLM's own weight-version spans say where the change fell.
Prompts are salted with the policy, so that the prefix cache never serves keys and values of older
weights.
"""

import logging
import os
from itertools import chain
from typing import Any

from openrs_core.errors import ProtocolError, RunError
from openrs_core.recipe.ring import RingRecipe
from openrs_core.ring.queue import Delivery
from openrs_core.weights import Change, Layout, Snapshot, Update
from openrs_core.wire.fields import MAX_FAILURE
from openrs_core.wire.messages import Completion, PolicyRun, Prompt, RolloutGroup
from services.model.tokenizer import tokenizer_of
from services.model.weights import base_policy
from services.sampler.limits import Limits
from services.sampler.seed import own_seed
from services.sampler.text import Text, stop_token_ids
from services.sampler.worker.places import Block, joined

logger = logging.getLogger(__name__)

_ANYWHERE = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine lives in this process: we step it
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
}
_ON_A_CPU = {
    "TORCHDYNAMO_DISABLE": "1",  # else the first log-probabilities compile for 20 s
    "OMP_NUM_THREADS": "1",  # two threads spin each other to a standstill on a busy machine
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}

CPU_BLOCK = 32
"""Tokens in a block of the key-value cache, where vLLM's own default is 128 on a CPU. Completions
share the whole blocks of what their prompts have in common, and no more; fewer are slower."""


class VllmEngine:
    """Groups in, rollout groups out; see `loop.Engine`."""

    def __init__(self, recipe: RingRecipe, model: str, name: str) -> None:
        self._recipe, self._name, self._model = recipe, name, model
        self._llm = _start(recipe, model, own_seed(recipe.seed, name))
        self._engine = self._llm.llm_engine
        tokenizer = tokenizer_of(model)
        self._text, self._stop_ids = Text(tokenizer), stop_token_ids(model, tokenizer)
        self._limits = Limits(
            sequences=recipe.sampler.max_sequences,
            tokens=recipe.longest_sequence,
            vocabulary=self._engine.model_config.get_vocab_size(),
        )
        self._policy = ""
        self.in_flight: dict[str, Delivery[Prompt]] = {}

    @property
    def free_completions(self) -> int:
        """How many more completions it can sample at once."""
        taken = sum(d.message.sampling.group_size for d in self.in_flight.values())
        return self._recipe.sampler.max_sequences - taken

    def submit(self, taken: Delivery[Prompt]) -> RolloutGroup | None:
        """Begin a group; or the group that says why it cannot be sampled."""
        prompt = taken.message
        if prompt.group_id in self.in_flight:
            return None  # a second copy: if it is still there after its lease, it is sampled then
        if failure := self._limits.refusal(prompt) or self._add(prompt):
            logger.warning("group %s cannot be sampled: %s", prompt.group_id, failure)
            return RolloutGroup(
                prompt=prompt, completions=(), sampler=self._name, failure=failure[:MAX_FAILURE]
            )
        self.in_flight[prompt.group_id] = taken
        return None

    def step(self) -> list[tuple[Delivery[Prompt], RolloutGroup]]:
        """One token for everything in flight; the groups that are finished by it."""
        if not self._engine.has_unfinished_requests():
            return []
        finished = [output for output in self._engine.step() if output.finished]
        return [self._finish(output) for output in finished]

    def base(self) -> Snapshot:
        """The weights it begins with; from here on `load` takes changes to them."""
        snapshot = base_policy(self._model, self._recipe.model.dtype)
        self._load_policy(snapshot.layout, snapshot.whole())
        return snapshot

    def load(self, update: Update) -> None:
        """Put an update in force; what is in flight goes on under it."""
        if _is_whole(update):
            self._load_policy(update.layout, update.change)
        elif update.change.parts:
            self._llm.collective_rpc("write_change", args=(update.change,))
        if self._recipe.sampler.check_weights:
            self._check(update)
        self._policy = f"{update.policy.incarnation}:{update.policy.version}"
        self._engine.set_weight_version(self._policy)

    def read(self) -> list[list[Block]]:
        """What each worker holds of the policy, to be looked at before the next `load`."""
        blocks: list[list[Block]] = self._llm.collective_rpc("read_blocks")
        return blocks

    def _load_policy(self, layout: Layout, change: Change) -> None:
        """Load every tensor through vLLM; RunError when it keeps one in another form."""
        for fault in self._llm.collective_rpc("load_policy", args=(layout, change)):
            if fault:
                raise RunError(fault)

    def _add(self, prompt: Prompt) -> str:
        """Hand a prompt to vLLM; what it says when it refuses."""
        request = {"prompt_token_ids": list(prompt.token_ids), "cache_salt": self._policy}
        try:
            self._engine.add_request(prompt.group_id, request, self._params(prompt))
        except ValueError as error:
            return str(error) or "vLLM refused it"
        return ""

    def _check(self, update: Update) -> None:
        """Raise ProtocolError when the engine does not hold what the update says it does."""
        held = joined(update.layout, list(chain.from_iterable(self.read())))
        if held.digest() != update.digest:
            raise ProtocolError(f"vLLM holds other weights than {update.policy} was published with")

    def _params(self, prompt: Prompt) -> Any:
        from vllm.sampling_params import RequestOutputKind, SamplingParams

        sampling = prompt.sampling
        return SamplingParams(
            n=sampling.group_size,
            temperature=sampling.temperature,
            max_tokens=sampling.max_tokens,
            top_p=sampling.top_p,
            seed=sampling.seed,
            logprobs=0,
            detokenize=False,
            stop_token_ids=self._stop_ids,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _finish(self, output: Any) -> tuple[Delivery[Prompt], RolloutGroup]:
        taken = self.in_flight.pop(output.request_id)
        completions = tuple(self._completion(drawn) for drawn in output.outputs)
        group = RolloutGroup(prompt=taken.message, completions=completions, sampler=self._name)
        return taken, group

    def _completion(self, drawn: Any) -> Completion:
        ids = tuple(drawn.token_ids)
        # vLLM can round a certain token's log-probability to just above 0
        logprobs = (
            min(at[token].logprob, 0.0) for token, at in zip(ids, drawn.logprobs, strict=True)
        )
        return Completion(
            token_ids=ids,
            behaviour_logprobs=tuple(logprobs),
            policies=tuple(_policy_run(span) for span in drawn.weight_versions),
            finish_reason="length" if drawn.finish_reason == "length" else "stop",
            text=self._text.of(ids),
        )


def _is_whole(update: Update) -> bool:
    """Does it bring every tensor whole?"""
    parts = update.change.parts
    whole = all(part.positions is None for part in parts)
    return whole and len(parts) == len(update.layout.tensors)


def _policy_run(span: Any) -> PolicyRun:
    incarnation, version = span.version.split(":")
    return PolicyRun(
        incarnation=int(incarnation), version=int(version), count=span.end - span.start
    )


def is_on_cpu() -> bool:
    """Is there no GPU?"""
    import torch

    return not torch.cuda.is_available()


def set_up() -> None:
    """What vLLM has to find in the environment when it is imported; what is set already stays."""
    import torch

    on_cpu = is_on_cpu()
    for key, value in (_ANYWHERE | (_ON_A_CPU if on_cpu else {})).items():
        os.environ.setdefault(key, value)
    if on_cpu:  # torch is imported already, and has read the variable: it has to be told
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def _start(recipe: RingRecipe, model: str, seed: int) -> Any:
    """The vLLM engine on whatever this machine has."""
    set_up()
    from vllm import LLM

    settings = recipe.sampler
    optional: dict[str, Any] = {}
    if settings.kv_cache_mib:
        optional["kv_cache_memory_bytes"] = settings.kv_cache_mib << 20
    if is_on_cpu():
        optional["block_size"] = CPU_BLOCK
        # there vLLM cannot take back a draw, as it does for a part of a seeded prompt
        optional["enable_chunked_prefill"] = False
    return LLM(
        model=model,
        load_format="safetensors",  # no other form: they can hold code
        trust_remote_code=False,
        dtype=recipe.model.dtype,
        max_model_len=recipe.longest_sequence,
        max_num_seqs=settings.max_sequences,
        gpu_memory_utilization=settings.gpu_memory_share,
        tensor_parallel_size=settings.tensor_parallel,
        enforce_eager=settings.eager,
        worker_extension_cls="services.sampler.worker.extension.WorkerExtension",
        logprobs_mode="processed_logprobs",  # the default ignores the temperature
        async_scheduling=False,  # a step under way while weights move would bear the wrong policy
        hf_overrides={"head_dtype": "float32"},  # as the learner's: logits are not rounded
        generation_config="vllm",  # the model's own top-p and top-k would bias the ratio
        seed=seed,
        **optional,
    )
