"""`POST /admin/lint` where a model compares the pages."""

import pytest
from aiohttp.test_utils import TestServer

from ai_memory.config import load_settings
from ai_memory.llm.chat import ModelError
from ai_memory.memory.memory import Memory
from ai_memory.server.app import create_app
from tests.memory.scripted import Scripted

SHOP = {"workspace": "default", "project": "shop"}
PAGES = ("concepts/vat.md", "decisions/round.md")
FINDING = {
    "kind": "contradiction",
    "severity": "warning",
    "message": "They disagree.",
    "pages": list(PAGES),
    "detail": "VAT is rounded on each line / VAT is rounded on the invoice",
}
ANSWER = {
    "findings": [
        {
            "pages": list(PAGES),
            "quotes": FINDING["detail"].split(" / "),
            "message": "They disagree.",
            "severity": "warning",
        }
    ]
}


async def post(server, path, /, **body):
    answer = await server.post(f"/admin/{path}", json={**SHOP, **body})
    assert answer.status == 200, await answer.text()
    return await answer.json()


@pytest.fixture
def chat():
    return Scripted(ModelError("it answered in prose", "unparsable"))


@pytest.fixture
def memory(tmp_path, chat):
    memory = Memory(load_settings(tmp_path / "data"), chat_of=chat)
    yield memory
    memory.close()


async def test_a_model_is_asked_where_there_is_one_and_its_failure_leaves_the_rules(memory, chat, aiohttp_client):
    server = await aiohttp_client(TestServer(create_app(memory, bind="127.0.0.1:0")))
    await post(server, "write-page", path=PAGES[0], body="VAT is rounded on each line.")
    await post(server, "write-page", path=PAGES[1], body="VAT is rounded on the invoice.")
    by_rules = {"findings": [], "report": None, "scope": "default/shop"}
    for how in ({"no_llm": True, "dry_run": False}, {"dry_run": True}):
        assert await post(server, "lint", **how) == {**by_rules, "dry_run": how["dry_run"]}
    assert chat.asked == []
    told = await post(server, "lint")
    problem = {"job_id": told["model"]["job_id"], "pairs": 0, "problem": "it answered in prose"}
    assert told == {**by_rules, "dry_run": False, "model": problem}
    chat.answers = [ANSWER]
    told = await post(server, "lint")
    done = {"job_id": told["model"]["job_id"], "pairs": 1, "problem": None}
    assert told == {
        "findings": [FINDING],
        "report": "_lint/report.md",
        "dry_run": False,
        "scope": "default/shop",
        "model": done,
    }
    assert (await post(server, "lint", dry_run=True))["findings"] == [FINDING]
    assert len(chat.asked) == 2
