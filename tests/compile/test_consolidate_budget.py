import json
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from ai_memory.compile.consolidate import Known, Material, windows
from ai_memory.compile.projection import projected, shortened_within
from ai_memory.compile.request import Budget
from ai_memory.llm.tokens import estimated_tokens
from ai_memory.model.event import Kind, Observation, Scrubbed, ToolCall
from ai_memory.model.session import Session

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
SESSION = Session(UUID(int=2), UUID(int=3), "x", "claude-code", "/w", NOW, NOW, observations=10_000)
TEXTS = {
    "english": "Reading the cart's rounding code again: the invoice total differs by a cent from the sum of its lines here. ",
    "portuguese": "Lendo de novo o código de arredondamento: o total da fatura não é igual à soma das suas linhas, por um cêntimo. ",
    "chinese": "重新阅读购物车的舍入代码:发票总额与各行之和相差一分钱,因为每一行都单独舍入,而会计系统只对总额舍入一次。",
}


def observed(n, text, kind=Kind.POST_TOOL_USE, outcome="success"):
    tool = ToolCall("Bash", outcome, command=Scrubbed(f"run {n}")) if kind is Kind.POST_TOOL_USE else None
    return Observation(NOW + timedelta(seconds=n), kind, "a", "x", Scrubbed(f"step {n}"), Scrubbed(text), tool=tool)


def counted(text):
    """What a tokenizer would hardly exceed: four letters of a word, each sign, each ideograph, each digit."""
    return len(re.findall(r"[^\W\d_\u3000-\u9fff]{1,4}|[\u3000-\u9fff]|\d|[^\w\s]|\n|_", text))


def request(ask):
    return json.dumps({"system": ask.system, "user": ask.user, "schema": ask.schema}, ensure_ascii=False)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_session_of_ten_thousand_observations_stays_below_a_providers_limit(text):
    observations = [observed(n, text) for n in range(10_000)]
    planned = windows(Material(SESSION, observations), Budget(200_000), batch=True)
    assert 1 < len(planned) <= 8
    assert max(counted(request(window.ask)) for window in planned) <= 200_000
    steps = re.findall(r"\$ run (\d+)$", "".join(window.text for window in planned), re.MULTILINE)
    assert steps == [str(n) for n in range(10_000)]
    assert [(window.number, window.of) for window in planned] == [(n + 1, len(planned)) for n in range(len(planned))]


@pytest.mark.parametrize("room", [8_000, 32_000])
def test_a_request_to_a_small_model_stays_within_what_it_takes_whatever_is_known(room):
    material = Material(
        SESSION,
        [observed(n, TEXTS["portuguese"] * 200, Kind.USER_PROMPT) for n in range(40)],
        page="Said before. " * 3_000,
        existing={f"concepts/{n}.md": Known(f"Title {n}") for n in range(2_000)},
        slots={f"_slots/{n}.md": TEXTS["chinese"] * 50 for n in range(20)},
        preferences="Only decisions. " * 1_000,
    )
    for batch in (True, False):
        planned = windows(material, Budget(room), batch=batch)
        whole = [estimated_tokens(request(window.ask)) + window.spare for window in planned]
        assert max(whole) <= room * 0.8
        assert "".join(window.text for window in planned).count(" user-prompt\n") == 40
    assert "and 1," in windows(material, Budget(32_000), batch=True)[0].text
    assert "(There was no room for the slots.)" in windows(material, Budget(32_000), batch=True)[0].text


def test_what_failed_and_what_was_said_keeps_its_text_where_tool_output_gives_way():
    long = "word " * 500
    said = [observed(0, long, Kind.USER_PROMPT), observed(1, long, outcome="error"), observed(2, long, Kind.STOP)]
    parts = projected([*said, *(observed(n, long) for n in range(3, 200))], 4_000)
    text = "".join(parts)
    assert text.count(f" {long.strip()}\n") == 3
    assert text.count("characters left out ...]") == 197


def test_a_cut_says_how_much_it_took_and_keeps_both_ends():
    assert shortened_within("a" * 3_000, 3_000) == "a" * 3_000
    assert shortened_within("a" * 2_000 + "b" * 1_100, 3_000) == (
        f"{'a' * 2_000}\n[... 100 characters left out ...]\n{'b' * 1_000}"
    )
    assert shortened_within("abc", 0) == "[... 3 characters left out ...]"


def test_an_observation_larger_than_a_request_is_cut_to_fit():
    parts = projected([observed(0, TEXTS["chinese"] * 60, Kind.USER_PROMPT)], 1_000)
    assert len(parts) == 1
    assert estimated_tokens(parts[0]) <= 1_000
