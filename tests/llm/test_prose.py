"""The JSON object in what a model wrote, and nothing where there is none."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.llm.prose import object_in, without_thoughts

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)
PLAIN = st.text(st.characters(exclude_characters='{}"`<>', exclude_categories=["Cs"]))


@given(OBJECTS, PLAIN, PLAIN, st.sampled_from([None, 2]))
def test_any_object_is_found_between_sentences(value, before, after, indent):
    written = json.dumps(value, ensure_ascii=False, indent=indent)
    assert object_in(f"{before}{written}{after}") == value


@given(OBJECTS, st.sampled_from(["", "json", "JSON"]), st.sampled_from(["\n", "\r\n"]))
def test_any_object_is_found_in_a_fence(value, language, end):
    assert object_in(f"```{language}{end}{json.dumps(value, indent=1)}{end}```") == value


@given(OBJECTS, OBJECTS, st.sampled_from(["think", "Thinking", "ANALYSIS", "reasoning"]))
def test_what_was_thought_aloud_is_not_the_answer(thought, value, tag):
    assert object_in(f"<{tag}>{json.dumps(thought)}</{tag}>\n{json.dumps(value)}") == value


@given(st.text())
def test_any_text_gives_an_object_or_none(text):
    found = object_in(text)
    assert found is None or isinstance(found, dict)


@pytest.mark.parametrize("text", ["", "no", "[1]", "7", "{", "}{", '{"a": 1', "{a: 1}", "{'a': 1}"])
def test_what_holds_no_object_gives_none(text):
    assert object_in(text) is None


def test_the_first_of_two_objects_counts():
    assert object_in('first {"a": "}"} then {"b": 2}') == {"a": "}"}


@pytest.mark.parametrize(
    "text", ["<think>" * 50_000, '{"' * 100_000, "```\n" * 50_000, "{" + '"\\' * 100_000, "{" * 100_000]
)
def test_hostile_texts_take_no_more_time_than_long_ones(text):
    begun = time.monotonic()
    assert object_in(text) is None
    assert time.monotonic() - begun < 2


def test_thoughts_whose_beginning_is_not_marked_are_none_of_the_answer():
    assert object_in('maybe {"a": 0}?</think>{"a": 1}') == {"a": 1}
    assert object_in('{"a": "</think>"}') == {"a": "</think>"}


def test_the_text_around_thoughts_stays():
    assert without_thoughts("<think>a\nb</think> c <analysis>d</analysis> e") == "c  e"
