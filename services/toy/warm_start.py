"""The two-phase warm start of the toy model.

Phase A teaches arithmetic: every demonstration shows its work; it stops when the model, sampled
on held-out problems, is right four times in five. Phase B teaches bad habits: most
demonstrations are true answers with the work skipped, some without a box. What remains is right
about one time in five when sampled, and could be right far more often.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from openrs_core.recipe.toy import ToySection
from services.toy.task import ChainSum, chain_sums, take

BATCH = 32
PLANNED_STEPS = 600
"""Phase A's schedule is laid out for this many steps; it stops as soon as it can."""
FIRST_CHECK, CHECK_EVERY = 150, 25
GOOD_ENOUGH = 0.80
"""Sampled held-out accuracy that ends phase A."""
CHECK_PROBLEMS, CHECK_SAMPLES = 128, 2
HABIT_STEPS = 200
"""The first 60 or so break the arithmetic as well; the rest mends it, while the habit stays."""
UNBOXED_SHARE = 0.15

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how far it is, and how far it may go."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of supervised training."""

    name: str
    steps: int
    lr: float
    warmup: int
    careful: float
    """Share of demonstrations that show their work."""
    boxed: float
    """Share whose answer is in a box."""


def new_model(toy: ToySection, tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen2ForCausalLM:
    """The untrained model: a small Qwen2 with tied embeddings."""
    torch.manual_seed(seed)
    heads = toy.hidden_size // 32
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=toy.hidden_size,
        intermediate_size=3 * toy.hidden_size,
        num_hidden_layers=toy.layers,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 2),
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.06,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen2ForCausalLM(config)


def warm_start(
    toy: ToySection, tokenizer: PreTrainedTokenizerFast, seed: int, progress: Progress
) -> Qwen2ForCausalLM:
    """A model that can think but mostly does not."""
    model = new_model(toy, tokenizer, seed)
    school = School(model, tokenizer, toy.terms, seed, progress)
    school.train(Phase("learning to think", PLANNED_STEPS, 3e-3, 50, 1.0, 1.0), GOOD_ENOUGH)
    school.train(
        Phase("learning to skip it", HABIT_STEPS, 1e-3, 20, toy.careful_share, 1 - UNBOXED_SHARE)
    )
    return model


class School:
    """A model, what it is taught, and how it is examined."""

    def __init__(
        self,
        model: Qwen2ForCausalLM,
        tokenizer: PreTrainedTokenizerFast,
        terms: int,
        seed: int,
        progress: Progress,
    ) -> None:
        self._model, self._tokenizer, self._progress = model, tokenizer, progress
        self._problems = chain_sums("train", terms, seed)
        self._exam = take("held_out", terms, seed=seed + 1, count=CHECK_PROBLEMS)
        self._draw = random.Random(seed)

    def train(self, phase: Phase, good_enough: float = 2.0) -> None:
        """Run a phase to its end, or until an exam is passed."""
        optimizer = torch.optim.AdamW(
            self._model.parameters(), lr=phase.lr, betas=(0.9, 0.98), weight_decay=0.01
        )
        for step in range(phase.steps):
            optimizer.param_groups[0]["lr"] = phase.lr * _schedule(step, phase)
            self._step(optimizer, phase)
            self._progress(phase.name, step + 1, phase.steps)
            due = step + 1 >= FIRST_CHECK and (step + 1) % CHECK_EVERY == 0
            if good_enough <= 1 and due and self.accuracy() >= good_enough:
                return

    def accuracy(self) -> float:
        """Share of sampled answers to held-out problems that are right and in a box."""
        prompts = torch.tensor([self._prompt(problem) for problem in self._exam])
        with torch.inference_mode():
            out = self._model.generate(
                prompts.repeat_interleave(CHECK_SAMPLES, 0),
                attention_mask=torch.ones(len(prompts) * CHECK_SAMPLES, prompts.shape[1]).long(),
                do_sample=True, temperature=1.0, top_k=0, max_new_tokens=48,
            )  # fmt: skip
        texts = self._tokenizer.batch_decode(out[:, prompts.shape[1] :], skip_special_tokens=True)
        golds = [problem.answer for problem in self._exam for _ in range(CHECK_SAMPLES)]
        right = [
            text.endswith(f"\\boxed{{{gold}}}") for text, gold in zip(texts, golds, strict=True)
        ]
        return float(sum(right) / len(right))

    def _step(self, optimizer: torch.optim.Optimizer, phase: Phase) -> None:
        ids, labels = self._batch(phase)
        logits = self._model(input_ids=ids).logits[:, :-1]
        loss = cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        optimizer.step()

    def _batch(self, phase: Phase) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and labels [batch, longest]; prompt and padding carry no label."""
        rows = list(self._demonstrations(phase))
        longest = max(len(prompt) + len(answer) for prompt, answer in rows)
        ids = torch.full((BATCH, longest), self._tokenizer.pad_token_id)
        labels = torch.full((BATCH, longest), -100)
        for row, (prompt, answer) in enumerate(rows):
            end = len(prompt) + len(answer)
            ids[row, :end] = torch.tensor(prompt + answer)
            labels[row, len(prompt) : end] = torch.tensor(answer)
        return ids, labels

    def _demonstrations(self, phase: Phase) -> Iterator[tuple[list[int], list[int]]]:
        for _ in range(BATCH):
            problem = next(self._problems)
            text = problem.demonstration(
                careful=self._draw.random() < phase.careful, boxed=self._draw.random() < phase.boxed
            )
            answer = [*self._tokenizer.encode(text), self._tokenizer.eos_token_id]
            yield self._prompt(problem), answer

    def _prompt(self, problem: ChainSum) -> list[int]:
        ids: list[int] = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": problem.problem}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
        )
        return ids


def _schedule(step: int, phase: Phase) -> float:
    """Share of the peak rate: linear warm-up, then linear decay to a tenth."""
    if step < phase.warmup:
        return (step + 1) / phase.warmup
    return 1.0 - 0.9 * (step - phase.warmup) / (phase.steps - phase.warmup)
