"""Without a model: nothing of a vendor's is loaded, nothing waits for one, and every feature says how to have one."""

import subprocess
import sys

import pytest
from aiohttp.test_utils import TestServer

from ai_memory.llm.chat import ModelError
from ai_memory.memory.models import HINT
from ai_memory.server.app import create_app
from tests.memory.conftest import World

SESSION = "00000000-0000-4000-8000-000000000001"
SHOP = {"workspace": "default", "project": "shop"}
#: Everything that asks a model by itself, switched on.
ALL_ON = {
    "consolidate_on_session_end": True,
    "answer_with_model": True,
    "auto_improve__scheduler__enabled": True,
}
SDKS = """
import asyncio, sys
from pathlib import Path
from aiohttp.web import AppRunner
from ai_memory.config import load_settings
from ai_memory.memory.memory import Memory
from ai_memory.server.app import create_app

async def serve(memory):
    runner = AppRunner(create_app(memory, bind="127.0.0.1:0"))
    await runner.setup()
    await runner.cleanup()

memory = Memory(load_settings(Path(sys.argv[1])))
asyncio.run(serve(memory))
memory.close()
print(sorted({"openai", "anthropic", "httpx2", "onnxruntime"} & sys.modules.keys()))
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A memory without a model, with everything switched on that would ask one, and a session that is over."""
    with pytest.MonkeyPatch.context() as patch:
        # A key alone asks for nothing.
        patch.setenv("ANTHROPIC_API_KEY", "sk-none")
        world = World(tmp_path_factory.mktemp("keyless"))
        world.close()
        world.open(**ALL_ON)
    world.works(SESSION)
    for event in ("pre-compact", "post-compaction", "session-end"):
        world.says(SESSION, event)
        world.memory.sessions.settle()
    yield world
    world.close()


@pytest.fixture
def project(world):
    return world.memory.projects.named("default", "shop")


def test_a_server_that_starts_loads_no_sdk(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SDKS, str(tmp_path / "data")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_nothing_is_queued_and_nothing_was_asked_whatever_is_switched_on(world):
    assert world.memory.jobs.latest() == []
    assert world.memory.jobs.run_due() is False
    assert world.memory.models.usage()["calls"] == []


def test_the_session_has_its_page_and_the_handoff_all_the_same(world):
    assert "Rounded per invoice." in world.pages()[SESSION]
    assert "Rounded per invoice." in world.starts("00000000-0000-4000-8000-000000000002")


def test_status_names_what_is_off_and_says_how_to_switch_it_on(world):
    report = world.memory.models.report()
    assert report["configured"] is False
    assert report["hint"] == HINT
    named = " ".join(report["off"])
    words = "memory_consolidate narrative packets bootstrap auto-improve contradictions answer_with_model"
    assert [word for word in words.split() if word not in named] == []


@pytest.mark.parametrize("what", ["consolidation", "narrative", "review"])
def test_who_asks_for_something_that_needs_a_model_is_told_how_to_have_one(world, project, what):
    memory = world.memory
    session = memory.sessions.named(project, SESSION)
    begin = {
        "consolidation": lambda: memory.consolidation.begin(session, pages=True),
        "narrative": lambda: memory.narratives.begin(project, asked=True),
        "review": lambda: memory.improvement.begin(session),
    }[what]
    with pytest.raises(ModelError) as error:
        begin()
    assert (error.value.kind, error.value.status) == ("unconfigured", 503)
    assert str(error.value).endswith(f"needs a model, and none is set: {HINT}")


def test_answers_say_why_there_are_none_beside_what_was_found(world, project):
    memory = world.memory
    hits = memory.recall.search("rounded invoice", [project])
    snapshot = memory.briefing.of(project, 10)
    for told in (memory.answers.to("rounded invoice", hits), memory.answers.about(project, snapshot)):
        assert (told.text, told.citations, told.missing.endswith(HINT)) == ("", (), True)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("bootstrap", {**SHOP, "sources": []}),
        ("narrative", SHOP),
        ("auto-improve", {**SHOP, "session_id": SESSION}),
    ],
    ids=["bootstrap", "narrative", "auto-improve"],
)
async def test_a_door_that_needs_a_model_answers_503_with_the_way_out(world, aiohttp_client, path, body):
    server = await aiohttp_client(TestServer(create_app(world.memory, bind="127.0.0.1:0")))
    answer = await server.post(f"/admin/{path}", json=body)
    assert (answer.status, (await answer.json())["error"].endswith(HINT)) == (503, True)


async def test_what_works_by_rules_works(world, aiohttp_client):
    server = await aiohttp_client(TestServer(create_app(world.memory, bind="127.0.0.1:0")))
    lint = await server.post("/admin/lint", json=SHOP)
    assert (lint.status, "model" in await lint.json(), world.memory.jobs.latest()) == (200, False, [])
    answer = await (await server.post("/admin/search", params={"q": "rounded", **SHOP})).json()
    assert (len(answer["hits"]) > 0, answer["answer_unavailable"].endswith(HINT)) == (True, True)
