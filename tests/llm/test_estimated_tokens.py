"""The estimate of tokens is never below what real tokenizers count, and not far above it in prose."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.llm.chat import estimated_tokens

#: Texts, and how many tokens each is for the tokenizers of cl100k, o200k, Claude 2, DeepSeek V3, Mistral and Tekken.
COUNTED = json.loads(Path(__file__).with_name("counted.json").read_text("utf-8"))


@pytest.mark.parametrize("row", COUNTED, ids=[row["name"] for row in COUNTED])
def test_no_tokenizer_counts_more(row):
    assert estimated_tokens(row["text"]) >= max(row["tokens"].values())


@pytest.mark.parametrize("row", COUNTED[:3], ids=[row["name"] for row in COUNTED[:3]])
def test_prose_is_not_taken_for_twice_what_it_is(row):
    assert estimated_tokens(row["text"]) <= 1.6 * max(row["tokens"].values())


@given(st.text(), st.text())
def test_two_texts_are_together_at_least_what_each_is(one, other):
    assert estimated_tokens(one + other) >= max(estimated_tokens(one), estimated_tokens(other)) > 0


def test_a_megabyte_takes_less_than_two_seconds():
    text = (COUNTED[0]["text"] + COUNTED[2]["text"]) * 1500
    begun = time.monotonic()
    assert estimated_tokens(text) > 100_000
    assert time.monotonic() - begun < 2
