import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ai_memory.model.title import NOT_CAPTURED, usable_title

PROMPTS = json.loads((Path(__file__).parent / "prompts.json").read_text("utf-8"))


def test_at_most_two_in_a_hundred_real_requests_are_refused_as_titles():
    refused = [prompt for prompt in PROMPTS["requests"] if not usable_title(prompt)]
    assert len(refused) <= len(PROMPTS["requests"]) * 0.02, refused


def test_at_most_two_in_a_hundred_scaffolding_texts_pass_as_titles():
    passed = [prompt for prompt in PROMPTS["scaffolding"] if usable_title(prompt)]
    assert len(passed) <= len(PROMPTS["scaffolding"]) * 0.02, passed


def test_the_stand_in_for_a_prompt_that_was_not_captured_is_no_title():
    assert not usable_title(NOT_CAPTURED)


@given(st.text(max_size=200))
def test_any_text_gets_an_answer(text):
    assert usable_title(text) in (True, False)


def test_a_long_line_without_spaces_is_judged_in_no_time():
    assert not usable_title("a-1" * 200_000)
