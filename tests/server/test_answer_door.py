"""`/admin/search` with an answer, and `search --answer`: a model's words with their sources, or why there are none."""

import asyncio
import json
import threading

import pytest
from click.testing import CliRunner

from ai_memory.cli import cli
from tests.llm.model_vendors import KEY, ModelVendors

SHOP = {"workspace": "default", "project": "shop"}
VAT = {"answer": "Rounded per invoice [1].", "citations": [{"source": 1, "quote": "Rounded once per invoice"}]}


@pytest.fixture(scope="module")
def vendor():
    server = ModelVendors()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
async def door(server_with, vendor, no_blocking):
    vendor.reset()
    vendor.script = [("say", json.dumps(VAT), "whole")]
    door = await server_with(
        llm_provider="openai-compat",
        llm_base_url=vendor.url,
        llm_model="some-model",
        llm_api_key=KEY,
        answer_with_model=True,
    )
    sent = {**SHOP, "path": "decisions/vat.md", "body": "# VAT\n\nRounded once per invoice.\n"}
    assert (await door.post("/admin/write-page", json=sent)).status == 200
    return door


async def asks(door, **query):
    answer = await door.post("/admin/search", params={"q": "rounded", **SHOP, **query})
    return answer.status, await answer.json()


async def searches(door, *arguments):
    """Type `search` at a terminal."""
    told = ["--data-dir", "nowhere", "search", "rounded", "--workspace", "default", "--project", "shop", *arguments]
    env = {"AI_MEMORY_SERVER_URL": str(door.make_url("/"))}
    return await asyncio.to_thread(CliRunner().invoke, cli, told, env=env)


async def test_the_hits_come_with_an_answer_and_its_sources(door):
    plain = await (await door.get("/admin/search", params={"q": "rounded", **SHOP})).json()
    status, answer = await asks(door)
    (cited,) = answer["answer"].pop("citations")
    assert len(cited.pop("revision")) == 40
    assert cited == {"number": 1, **SHOP, "path": "decisions/vat.md", "quote": "Rounded once per invoice"}
    assert (status, answer) == (200, {"answer": {"text": "Rounded per invoice [1]."}, "hits": plain})


async def test_a_question_that_cannot_be_asked_is_refused_before_anything_is_paid(door, vendor):
    for query in ({"q": ""}, {"limit": "many"}, {"explain": "perhaps"}, {"at": "then"}):
        assert (await asks(door, **query))[0] == 400
    assert vendor.asked == []


async def test_a_terminal_shows_the_answer_what_it_rests_on_and_the_hits(door):
    done = await searches(door, "--answer")
    lines = done.stdout.splitlines()
    assert (done.exit_code, lines[0]) == (0, "Rounded per invoice [1].")
    assert lines[2].startswith("[1] default/shop  decisions/vat.md@")
    assert lines[3:6] == ["    Rounded once per invoice", "", "VAT"]
    told = json.loads((await searches(door, "--answer", "--json")).stdout)
    assert (told["answer"]["text"], told["hits"][0]["path"]) == ("Rounded per invoice [1].", "decisions/vat.md")


async def test_a_terminal_shows_the_hits_also_where_a_model_fails(door, vendor):
    vendor.script = [("status", 400, {}, {"error": {"message": "no"}})]
    done = await searches(door, "--answer")
    assert done.exit_code == 0
    assert done.stdout.startswith("VAT\n  default/shop  decisions/vat.md\n")
    assert done.stderr.startswith("no answer: ")
