"""`bin/bench consolidation` against a server on loopback: what it prints, and what it says without a key."""

import importlib
import json
import sys
import threading

import pytest

from tests.llm.model_vendors import KEY, USED, ModelVendors
from tests.test_bench_datasets import BENCH

PAGE = {
    "path": "decisions/redis.md",
    "title": "No Redis",
    "kind": "decision",
    "tier": "semantic",
    "summary": "",
    "body_markdown": "No Redis in production.",
    "tags": [],
    "evidence": ["no Redis in production this year"],
    "slot_kind": "none",
    "supersedes": "",
}
LIE = {**PAGE, "path": "decisions/b.md", "title": "Lies", "body_markdown": "Since 1999, see `other.py`."}


@pytest.fixture
def vendor():
    server = ModelVendors()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def rates(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCH))
    for name in ("ANTHROPIC_API_KEY", "LLM_API_KEY", "LLM_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["consolidation", *arguments])
        importlib.import_module("consolidation").main()
        return capsys.readouterr().out

    return run


def test_five_sessions_are_rated_and_added_up(rates, vendor, monkeypatch):
    monkeypatch.setenv("LLM_API_KEY", KEY)

    def batch(*pages):
        return ("say", json.dumps({"updates": list(pages), "drop": [], "rationale": "So."}), "whole")

    vendor.script = [batch(LIE), batch(PAGE, LIE), ("say", "In prose.", "whole"), batch()]
    told = json.loads(rates("--provider", "openai-compat", "--base-url", vendor.url, "--model", "some-model", "--json"))
    assert told["model"] == "some-model of openai-compat"
    *rows, total = told["rows"]
    assert [(row["read"], row["pages"], row["refused"], row["grounded"]) for row in rows] == [
        (True, 0, 1, 0.0),
        (True, 1, 1, 0.5),
        (False, 0, 0, None),
        (True, 0, 0, None),
        (True, 0, 0, None),
    ]
    assert rows[1]["wrote"] == "decisions/redis.md"
    assert all(row["by rules characters"] > 50 for row in rows)
    del total["s"]
    assert total == {
        "session": "all 5",
        "read": "4 of 5",
        "calls": len(vendor.asked),
        "tokens in": len(vendor.asked) * USED[0],
        "tokens out": len(vendor.asked) * USED[1],
        "dollars": None,
        "pages": 1,
        "refused": 2,
        "grounded": 0.33,
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((), "name one with --provider"), (("--provider", "anthropic"), "set ANTHROPIC_API_KEY")],
    ids=["no provider", "no key"],
)
def test_without_a_key_it_says_so_and_rates_nothing(rates, arguments, said):
    with pytest.raises(SystemExit, match=said):
        rates(*arguments)
