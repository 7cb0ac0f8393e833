import json

import pytest

from ai_memory.client.agents import AGENTS
from ai_memory.client.start import fitted, reply

START, END = "<!-- ai-memory:untrusted-history:start -->", "<!-- ai-memory:untrusted-history:end -->"


def units(text):
    return len(text.encode("utf-16-le")) // 2


def test_a_text_that_fits_is_left_alone():
    assert fitted("x" * 9_999, 10_000) == "x" * 9_999


@pytest.mark.parametrize("sign", ["x", "é", "中", "😀", "line\n"])
def test_a_long_text_is_cut_below_the_limit_in_utf_16_units(sign):
    found = fitted(sign * 20_000, 10_000)
    assert 9_000 < units(found) < 10_000
    assert "The rest is left out" in found


def test_a_cut_inside_the_fence_closes_it_again():
    found = fitted(f"head\n{START}\n" + "history\n" * 3000 + f"{END}\nnote", 10_000)
    assert (found.count(START), found.count(END)) == (1, 1)
    assert units(found) < 10_000


def test_a_cut_behind_the_fence_leaves_it():
    found = fitted(f"{START}\nhistory\n{END}\n" + "note\n" * 3000, 10_000)
    assert found.count(END) == 1


def test_a_cut_inside_the_second_fence_closes_that_one_too():
    fenced = f"{START}\nhistory\n{END}\n"
    found = fitted(fenced + f"{START}\n" + "history\n" * 3000 + f"{END}\n", 10_000)
    assert (found.count(START), found.count(END)) == (2, 2)
    assert units(found) < 10_000


def test_the_answer_has_the_shape_that_the_agent_reads():
    text = 'é 中 😀 "quoted"\n\x1b\0</x>'
    for name in ("claude-code", "codex", "gemini-cli"):
        out = reply(AGENTS[name], text)
        assert out.isascii()
        assert json.loads(out) == {"hookSpecificOutput": {"hookEventName": "SessionStart", "additionalContext": text}}
        assert reply(AGENTS[name], "") == b"{}\n"
    assert (reply(AGENTS["open-code"], text), reply(AGENTS["open-code"], "")) == (text.encode(), b"")
