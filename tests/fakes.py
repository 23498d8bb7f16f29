"""What stands at the far end of a loop in its tests; each refuses what it should not be given."""

from concurrent.futures import Future
from pathlib import Path

from openrs_core.ring.queue import Delivery
from openrs_core.weights import Update
from openrs_core.wire.messages import Completion, Prompt, RolloutGroup
from tests.builders import a_group


class FakeEngine:
    """Finishes every group in one step; refuses prompts older than the weights it was given."""

    def __init__(self) -> None:
        self.in_flight: dict[str, Delivery[Prompt]] = {}
        self.version = -1

    free_completions = 8

    def submit(self, taken: Delivery[Prompt]) -> RolloutGroup | None:
        if taken.message.prompt_id == "impossible":
            return RolloutGroup(
                prompt=taken.message, completions=(), sampler="s", failure="too long"
            )
        assert self.version >= taken.message.issued_version, (
            "sampled under weights that are too old"
        )
        self.in_flight[taken.message.group_id] = taken
        return None

    def step(self) -> list[tuple[Delivery[Prompt], RolloutGroup]]:
        done = list(self.in_flight.values())
        self.in_flight = {}
        return [(taken, a_group(taken.message, version=self.version)) for taken in done]

    def load(self, update: Update) -> None:
        assert update.policy.version > self.version
        self.version = update.policy.version


class FakeVerifiers:
    """Knows one right answer at once."""

    def submit(self, completion: Completion, prompt: Prompt) -> "Future[str]":
        future: Future[str] = Future()
        right = completion.text == f"\\boxed{{{prompt.answer}}}"
        future.set_result("correct" if right else "incorrect")
        return future

    def submit_as_harness(self, completion: Completion, prompt: Prompt) -> "Future[str]":
        """Kinder: the answer anywhere will do."""
        future: Future[str] = Future()
        future.set_result("correct" if prompt.answer in completion.text else "timeout")
        return future


class FakeSaves:
    """Writes what it is asked to write, or fails half-way."""

    def __init__(self, text: str = "moments", failure: Exception | None = None) -> None:
        self.text, self.failure = text, failure

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        (directory / "moments").write_text(self.text)
        if self.failure:
            raise self.failure

    def load(self, directory: Path) -> None:
        assert (directory / "moments").exists()

    def write_model(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        (directory / "config.json").write_text("{}")


class FakeTokenizer:
    """Has one file."""

    def save_pretrained(self, save_directory: Path) -> None:
        (save_directory / "tokenizer.json").write_text("{}")


class FakeTemplate:
    """One token per character; remembers the last text that was rendered."""

    asked = ""

    def apply_chat_template(self, conversation, *, tokenize, **_options):
        self.asked = "".join(message["content"] for message in conversation)
        return [ord(character) for character in self.asked] if tokenize else self.asked
