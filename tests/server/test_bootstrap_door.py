"""Bootstrap through the door, with a model on loopback; and the question which sessions are here already."""

import asyncio
import io
import json
import threading
import uuid
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from ai_memory.cli.bootstrap_sources import Wanted, collect
from ai_memory.server.keys import MEMORY
from tests.llm.model_vendors import USED, ModelVendors

ROOT = Path(__file__).resolve().parent.parent.parent
FACTS = ["Carts are kept in SQLite.", "Totals are rounded per invoice."]
SOURCES = [
    {"kind": "doc_file", "label": f"doc: {n}.md", "text": f"{fact} {'word ' * 700}"} for n, fact in enumerate(FACTS)
]
BODY = {
    "workspace": "default",
    "project": "shop",
    "routing": {"cwd": "/srv/shop", "repo_root": "/srv/shop"},
    "sources": SOURCES,
    "max_input_tokens": 20_000,
    "chunk_input_tokens": 2_000,
    "user": "ana",
}


def says(number):
    page = {"path": f"concepts/fact-{number}.md", "title": "Fact", "body_markdown": FACTS[number], "tags": []}
    return ("say", json.dumps({"pages": [page], "rationale": "So."}), "whole")


@pytest.fixture(scope="module")
def running_vendors():
    server = ModelVendors()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def vendor(running_vendors):
    running_vendors.reset()
    running_vendors.script = [says(0), says(1)]
    return running_vendors


@pytest.fixture
async def asking(server_with, vendor, no_blocking):
    return await server_with(llm_provider="openai-compat", llm_model="m", llm_base_url=f"{vendor.url}/v1")


async def post(server, status=200, headers=None, **more):
    answer = await server.post("/admin/bootstrap", json={**BODY, **more}, headers=headers or {})
    assert answer.status == status, await answer.text()
    return await answer.json() if status == 200 else (await answer.json())["error"]


async def lines(server, **more):
    answer = await server.post("/admin/bootstrap", json={**BODY, **more}, headers={"Accept": "application/x-ndjson"})
    assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
    return [json.loads(line) for line in (await answer.text()).splitlines()]


async def pages(server):
    listed = (await (await server.get("/admin/projects")).json())["projects"]
    return [(each["project_name"], each["page_count"]) for each in listed]


async def test_a_run_tells_how_far_it_is_and_then_what_it_did(asking):
    *told, last = await lines(asking)
    assert told == [{"done": n, "of": 2, "pages": n} for n in range(3)]
    outcome = last["outcome"]
    assert outcome["pages_written"] == ["bootstrap.md", "concepts/fact-0.md", "concepts/fact-1.md"]
    assert (outcome["provider"], outcome["model"], outcome["scope"]) == ("openai-compat", "m", "default/shop")
    assert await pages(asking) == [("shop", 3)]
    error = await post(asking, 422)
    assert error.startswith("default/shop was bootstrapped before")


async def test_who_asks_for_no_lines_gets_the_outcome_alone(asking, vendor):
    outcome = await post(asking)
    assert (outcome["llm_chunks"], outcome["dry_run"], len(vendor.asked)) == (2, False, 2)
    vendor.script = [says(0), says(1)]
    assert (await post(asking, force=True))["pages_written"] == outcome["pages_written"]


async def test_this_project_itself_goes_through(asking, vendor):
    found = await asyncio.to_thread(collect, ROOT, Wanted(most_tokens=150_000))
    vendor.script = [says(0)]
    more = {"sources": [asdict(each) for each in found.sources], "sources_collected": found.collected}
    *told, last = await lines(asking, **more, max_input_tokens=150_000, chunk_input_tokens=24_000)
    outcome = last["outcome"]
    assert (outcome["llm_chunks"], len(vendor.asked), told[-1]["done"]) == (len(told) - 1,) * 3
    assert outcome["pages_written"][0] == "bootstrap.md"
    assert len(outcome["pages_written"]) + len(outcome["pages_refused"]) == 1 + len(vendor.asked)


async def test_a_dry_run_needs_no_model_and_makes_nothing(server):
    outcome = await post(server, dry_run=True, sources_collected=9)
    assert {key: outcome[key] for key in ("sources_collected", "sources_sent", "sources_dropped", "llm_chunks")} == {
        "sources_collected": 9,
        "sources_sent": 2,
        "sources_dropped": 7,
        "llm_chunks": 2,
    }
    assert (outcome["dry_run"], outcome["estimated_cost"], outcome["provider"]) == (True, None, None)
    assert await pages(server) == []


async def test_without_a_model_it_says_how_to_switch_one_on(server):
    error = await post(server, 503)
    assert "bootstrap needs a model, and none is set: write llm_provider into config.toml" in error
    assert await pages(server) == []


async def test_a_failure_in_the_middle_is_the_last_line_and_the_same_again_goes_on(asking, vendor):
    vendor.script = [says(0), ("status", 400, {}, {"error": {"message": "no"}})]
    told = await lines(asking)
    assert told[:2] == [{"done": 0, "of": 2, "pages": 0}, {"done": 1, "of": 2, "pages": 1}]
    assert told[2]["status"] == 502
    assert told[2]["error"].startswith("question 2 of 2 got no answer; the answers to 1 before it are kept")
    vendor.script = [("status", 400, {}, {"error": {"message": "no"}})]
    assert "question 2 of 2 got no answer" in await post(asking, 502)
    vendor.reset()
    vendor.script = [says(1)]
    outcome = await post(asking)
    assert (outcome["llm_chunks_resumed"], len(vendor.asked), len(outcome["pages_written"])) == (1, 1, 3)
    total = asking.app[MEMORY].models.usage()["total"]
    assert (total["calls"], total["tokens_in"], total["tokens_out"]) == (4, 2 * USED[0], 2 * USED[1])


async def test_who_leaves_pays_for_no_further_question(asking, vendor):
    memory = asking.app[MEMORY]
    came, left, over = threading.Event(), threading.Event(), threading.Event()
    run, sure = memory.bootstrapping.run, memory.models.sure

    def model(what):
        chat = sure(what)

        def ask(question, **how):
            answer = chat.ask(question, **how)
            came.set()
            assert left.wait(5)
            return answer

        return SimpleNamespace(ask=ask)

    def running(*args):
        try:
            return run(*args)
        finally:
            over.set()

    memory.models.sure, memory.bootstrapping.run = model, running
    answer = await asking.post("/admin/bootstrap", json=BODY, headers={"Accept": "application/x-ndjson"})
    assert json.loads(await answer.content.readline()) == {"done": 0, "of": 2, "pages": 0}
    assert await asyncio.to_thread(came.wait, 5)
    answer.close()
    async with asyncio.timeout(5):
        while any(each.transport for each in asking.server.handler.connections):
            await asyncio.sleep(0)
    left.set()
    assert await asyncio.to_thread(over.wait, 5)
    assert len(vendor.asked) == 1
    memory.models.sure = sure
    assert ((await post(asking))["llm_chunks_resumed"], len(vendor.asked)) == (1, 2)


REFUSED = [
    ({"sources": None}, "sources must be a list"),
    ({"sources": ["x"]}, "a source must be an object with a kind"),
    ({"sources": [{"kind": "secret", "label": "a", "text": "b"}]}, "a source must be an object with a kind"),
    ({"sources": [{"kind": "readme", "text": "b"}]}, "label is missing"),
    ({"sources": [{"kind": "readme", "label": "a", "text": 7}]}, "text must be a text"),
    ({"max_input_tokens": -1}, "max_input_tokens must be a whole number"),
    ({"max_input_tokens": 10}, "max_input_tokens is 10"),
    ({"force": "yes"}, "force must be true or false"),
]


async def test_what_is_no_bootstrap_is_refused(server):
    for more, says in REFUSED:
        assert says in await post(server, 400, dry_run=True, **more)


async def test_nothing_to_make_pages_of_is_refused(server):
    assert "there is nothing to make pages of" in await post(server, 422, sources=[], dry_run=True)
    large = [{"kind": "readme", "label": "README", "text": "x" * 90_000}]
    assert "none of 1 sources fits into max_input_tokens" in await post(server, 422, sources=large, dry_run=True)


async def test_a_body_may_have_32_mebibytes_and_not_more(server):
    big = {"kind": "doc_file", "label": "doc: big.md", "text": "x" * (11 * 1024 * 1024)}
    body = {**BODY, "sources": [big, *SOURCES], "dry_run": True}
    answer = await server.post("/admin/bootstrap", data=io.BytesIO(json.dumps(body).encode()))
    assert (await answer.json())["sources_dropped"] == 1
    answer = await server.post("/admin/bootstrap", data=io.BytesIO(b" " * (32 * 1024 * 1024 + 1)))
    assert (answer.status, await answer.json()) == (413, {"error": "a bootstrap may bring at most 32 MiB"})


async def test_a_session_is_new_begun_or_known(server, agent):
    ids = [str(uuid.uuid4()) for _ in range(4)]
    begun, whole, hooked = (agent(server) for _ in range(3))
    begun.id, whole.id, hooked.id = ids[1:]
    await begun.says("session-start", key="f1")
    await whole.says("session-start", key="f2")
    await whole.says("session-end", key="e2")
    await hooked.works()
    sessions = [{"id": each, "first": f"f{n}", "last": f"e{n}"} for n, each in enumerate(ids)]
    answer = await server.post("/admin/backfill", json={"sessions": sessions})
    assert await answer.json() == {"states": ["new", "begun", "known", "known"]}


QUESTIONS = [
    (None, "sessions must be a list"),
    ([7], "sessions must be a list"),
    ([{"id": "a", "first": "b"}], "last is missing"),
    ([{}] * 1_001, "at most 1,000 sessions"),
]


async def test_a_question_about_no_sessions_is_refused(server):
    for sessions, says in QUESTIONS:
        answer = await server.post("/admin/backfill", json={"sessions": sessions})
        assert (answer.status, says in (await answer.json())["error"]) == (400, True)
