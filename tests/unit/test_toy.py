"""The embedded task: true, held out for real, and read back as it was written."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, Qwen2Config

from services.scorer.answer import final_answer
from services.toy.task import PROBLEMS, ChainSum, chain_sums, take
from services.toy.tokenizer import train_tokenizer


def test_the_task_as_it_reads():
    chain = ChainSum((8, 9, -4, -6))
    assert chain.problem == "What is 8+9-4-6?"
    assert chain.answer == "7"
    assert chain.work == "8+9=17\n17-4=13\n13-6=7"


@given(st.sampled_from(["train", "held_out"]), st.integers(4, 7), st.integers(0, 3))
def test_every_problem_is_true_and_never_goes_below_zero(split, terms, seed):
    for chain in islice(chain_sums(split, terms, seed), 20):
        totals = [sum(chain.terms[: n + 1]) for n in range(len(chain.terms))]
        assert min(totals) >= 0
        assert eval(chain.expression) == int(chain.answer)


def test_no_problem_is_in_both_splits():
    trained = {chain.expression for chain in take("train", 4, 0, PROBLEMS["train"])}
    held_out = {chain.expression for chain in take("held_out", 4, 0, PROBLEMS["held_out"])}
    assert len(trained) == PROBLEMS["train"]
    assert len(held_out) == PROBLEMS["held_out"]
    assert not trained & held_out


@given(careful=st.booleans(), boxed=st.booleans())
def test_a_demonstration_is_a_true_answer(careful, boxed):
    chain = ChainSum((8, 9, -4, -6))
    text = chain.demonstration(careful=careful, boxed=boxed)
    assert final_answer(text) == ("7" if boxed else None)
    assert ("8+9=17" in text) is careful


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """As transformers reads it back beside a Qwen2 model, and as it was written."""
    directory = tmp_path_factory.mktemp("tokenizer")
    lines = [
        c.problem + c.demonstration(careful=True, boxed=True) for c in take("train", 4, 0, 300)
    ]
    written = train_tokenizer(lines)
    written.save_pretrained(directory)
    Qwen2Config(vocab_size=len(written)).save_pretrained(directory)
    return written, AutoTokenizer.from_pretrained(directory)


@given(st.text(max_size=60))
def test_any_text_encodes_and_decodes(tokenizer, text):
    """Byte-level: no unknown token (Qwen2's own normalisation composes characters)."""
    import unicodedata

    _, read = tokenizer
    text = unicodedata.normalize("NFC", text)
    assert read.decode(read.encode(text)) == text


@given(st.integers(0, 400), st.booleans(), st.booleans())
def test_the_tokenizer_read_back_is_the_one_written(tokenizer, number, careful, boxed):
    """transformers reads it with Qwen2's own split, whatever was saved: both must agree."""
    written, read = tokenizer
    chain = next(islice(chain_sums("train", 4, 7), number, None))
    text = f"<|im_start|>user\n{chain.problem}<|im_end|>\n<|im_start|>assistant\n"
    text += chain.demonstration(careful=careful, boxed=boxed)
    assert read.encode(text) == written.encode(text)


def test_numbers_and_signs_stand_alone(tokenizer):
    _, read = tokenizer
    shown = [read.decode([token]) for token in read.encode("17-4=13\n</think>\n\\boxed{13}")]
    assert shown == [*"17-4=13\n", "</think>", "\n", "\\boxed{", "1", "3", "}"]
