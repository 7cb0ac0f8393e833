"""What tokens cost: the shipped table, dated versions of models, and a person's own rows."""

import pytest

from ai_memory.config import load_settings
from ai_memory.errors import ConfigError
from ai_memory.llm.chat import chat_of
from ai_memory.llm.prices import cost, prices_of
from ai_memory.llm.ways import PROVIDERS


@pytest.mark.parametrize(
    ("provider", "model", "dollars"),
    [
        ("anthropic", "claude-haiku-4-5", 3.5),
        ("anthropic", "claude-haiku-4-5-20251001", 3.5),
        ("anthropic", "claude-haiku-9", None),
        ("openai", "gpt-5.4-mini", 3.0),
        ("openai", "gpt-5.4-mini-2026-03-17", 3.0),
        ("openai", "gpt-5", 6.25),
        ("openai", "gpt-5.9", None),
        ("gemini", "gemini-2.5-flash-001", 1.55),
        ("openai-compat", "qwen3:8b", None),
        ("openai-oauth", "gpt-5.5", 0.0),
        ("copilot", "anything", 0.0),
    ],
)
def test_a_call_costs_what_the_table_says(provider, model, dollars):
    found = cost(provider, model, 1_000_000, 500_000)
    assert found == (None if dollars is None else pytest.approx(dollars))
    assert cost(provider, model, 0, 0) == (None if dollars is None else 0.0)


def test_every_usual_model_has_a_price():
    assert [name for name, known in PROVIDERS.items() if known.model and cost(name, known.model, 1, 1) is None] == []


def test_own_rows_go_before_the_shipped_ones(tmp_path):
    rows = '[openai]\n"gpt-5" = [1, 2.5]\n[openai-compat]\n"*" = [0, 0]\n"big" = [10.0, 20.0]\n'
    (tmp_path / "prices.toml").write_text(rows)
    prices = prices_of(tmp_path)
    asked = [("openai", "gpt-5"), ("openai", "gpt-5-mini"), ("openai-compat", "small"), ("openai-compat", "big")]
    assert [cost(*each, 1_000_000, 1_000_000, prices) for each in asked] == [3.5, 2.25, 0.0, 30.0]
    assert cost("openai", "gpt-5", 1_000_000, 1_000_000) == 11.25


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[openai", "is no table of prices: "),
        ("openai = 1", "openai stands outside of a [provider]"),
        (
            '[openai]\n"m" = 1.0',
            "[openai] 'm' has to be dollars for a million tokens in and out, for example [1.0, 5.0]",
        ),
        ('[openai]\n"m" = [1.0]', "not [1.0]"),
        ('[openai]\n"m" = [1.0, -1]', "not [1.0, -1]"),
        ('[openai]\n"m" = [nan, 1]', "not [nan, 1]"),
        ('[openai]\n"m" = [true, 1]', "not [True, 1]"),
    ],
)
def test_a_table_that_cannot_be_read_is_named_before_anybody_is_asked(text, said, tmp_path):
    (tmp_path / "prices.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        chat_of(load_settings(tmp_path, flags={"llm_provider": "openai"}))
    assert str(tmp_path / "prices.toml") in str(caught.value)
    assert said in str(caught.value)
