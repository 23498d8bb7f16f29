r"""Ways to evaluate that are known by name: what is asked, and how answers are drawn.

`paper` is how Open-RS was evaluated (arXiv 2503.16219: lighteval 0.6 with vLLM): one sample of each
problem, with one seed. Its user prompt is the one that lighteval had for MATH, word for word, as a
result depends on it. Not the same here: its prompts had a second BOS token by mistake, and its
samples came from vLLM 0.7 with other random numbers.

`ours` draws 32 samples of each problem, so that an interval says what is known.
"""

from collections.abc import Mapping
from typing import Any, Literal

Protocol = Literal["ours", "paper"]

LONGEST = 32_768

PROTOCOLS: Mapping[Protocol, Mapping[str, Any]] = {
    "ours": {
        "eval": {"samples": 32, "seed": 0, "temperature": 0.6, "top_p": 0.95},
        "data": {
            "max_prompt_tokens": 2048,
            "user_prompt": "{problem}\n\nThink step by step, and put your final answer inside "
            "\\boxed{}.",
        },
        "sampler": {"max_tokens": LONGEST},
    },
    "paper": {
        "eval": {"samples": 1, "seed": 1234, "temperature": 0.6, "top_p": 0.95},
        "data": {
            "max_prompt_tokens": 2048,
            "user_prompt": "Solve the following math problem efficiently and clearly.  The last "
            "line of your response should be of the following format: 'Therefore, the final answer "
            "is: $\\boxed{ANSWER}$. I hope it is correct' (without quotes) where ANSWER is just "
            "the final number or expression that solves the problem. Think step by step before "
            "answering.\n\n{problem}",
        },
        "sampler": {"max_tokens": LONGEST},
    },
}
