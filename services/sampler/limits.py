"""What a sampler can do with a prompt, known before vLLM is asked. Pure."""

from dataclasses import dataclass

from openrs_core.wire.messages import Prompt


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one engine."""

    sequences: int
    """Completions sampled at once."""

    tokens: int
    """Of a prompt and its longest completion together."""

    vocabulary: int
    """Token ids are below."""

    def refusal(self, prompt: Prompt) -> str:
        """Why a prompt cannot be sampled; empty when it can."""
        asked, length = prompt.sampling, len(prompt.token_ids)
        largest = max(prompt.token_ids, default=0)
        checks = [
            (length > 0, "the prompt is empty"),
            (
                asked.group_size <= self.sequences,
                f"group_size {asked.group_size}, sampler.max_sequences is {self.sequences}",
            ),
            (
                length + asked.max_tokens <= self.tokens,
                f"{length} + {asked.max_tokens} tokens, the model is run with {self.tokens}",
            ),
            (
                largest < self.vocabulary,
                f"token {largest}, the vocabulary has {self.vocabulary}",
            ),
        ]
        return next((why for holds, why in checks if not holds), "")
