"""What a sampler makes of token ids: text with its tags, and the ends of a completion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from services.sampler.seed import own_seed
from services.sampler.text import TAGS, Text, stop_token_ids

WORDS = [*"abc", "<unk>"]
SPECIAL = ["<end>", "<reserved>", "<user>"]


def a_tokenizer(*, are_tags_special: bool, with_tags: bool = True) -> PreTrainedTokenizerFast:
    """Single letters, special tokens, and perhaps the tags."""
    model = WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>")
    tokenizer = Tokenizer(model)
    tokenizer.decoder = Fuse()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in SPECIAL])
    if with_tags:
        tokenizer.add_tokens([AddedToken(tag, special=are_tags_special) for tag in TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", unk_token="<unk>", extra_special_tokens=[]
    )


def ids(tokenizer: PreTrainedTokenizerFast, *words: str) -> list[int]:
    return [tokenizer.convert_tokens_to_ids(word) for word in words]


@pytest.mark.parametrize("are_tags_special", [False, True])
def test_tags_are_kept_also_where_they_are_special_tokens(are_tags_special):
    """A model that closes its thought would else pass for one that never did."""
    tokenizer = a_tokenizer(are_tags_special=are_tags_special)
    tokens = ids(tokenizer, "<think>", "a", "</think>", "<answer>", "b", "</answer>", "<end>")
    assert Text(tokenizer).of(tokens) == "<think>a</think><answer>b</answer>"
    if are_tags_special:
        assert tokenizer.decode(tokens, skip_special_tokens=True) == "ab"


def test_other_special_tokens_are_no_text_named_by_the_tokenizer_or_not():
    tokenizer = a_tokenizer(are_tags_special=True)
    tokens = ids(tokenizer, "a", "<reserved>", "b", "<user>", "<unk>", "c", "<end>")
    assert Text(tokenizer).of(tokens) == "abc"


def test_an_unknown_token_stays_hidden_where_there_are_no_tags():
    tokenizer = a_tokenizer(are_tags_special=False, with_tags=False)
    assert Text(tokenizer).of(ids(tokenizer, "a", "<unk>", "</think>", "b")) == "ab"


PLAIN = a_tokenizer(are_tags_special=False)


@given(st.lists(st.integers(0, len(PLAIN) - 1)))
def test_without_special_tags_the_text_is_what_the_tokenizer_makes_of_it(tokens):
    assert Text(PLAIN).of(tokens) == PLAIN.decode(tokens, skip_special_tokens=True)


@pytest.mark.parametrize(
    ("written", "stops"),
    [
        (None, [4]),
        ("{}", [4]),
        ('{"eos_token_id": 9}', [4, 9]),
        ('{"eos_token_id": [9, 4, 7]}', [4, 9, 7]),
    ],
)
def test_a_completion_ends_at_every_end_of_sequence(tmp_path, written, stops):
    if written is not None:
        (tmp_path / "generation_config.json").write_text(written)
    assert PLAIN.eos_token_id == 4
    assert stop_token_ids(tmp_path, PLAIN) == stops


def test_no_two_samplers_draw_the_same_and_one_draws_the_same_again():
    seeds = [own_seed(seed, name) for seed in (0, 1, 2**70) for name in ("sampler-0", "sampler-1")]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert seeds[0] == own_seed(0, "sampler-0")
