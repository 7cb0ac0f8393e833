"""The record tools as a model calls them: their shapes, what they refuse, and what they show of stored text."""

import json
import sys
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from pydantic import ValidationError

from ai_memory.errors import NotFoundError
from ai_memory.memory.pages import NOBODY
from ai_memory.memory.scopes import Who
from ai_memory.model.handoff import FENCE_END, FENCE_START
from ai_memory.model.record import BadRecordError
from ai_memory.server.mcp.toolsets import RECORDS
from ai_memory.store.transcripts import Transcripts

BRIDGE = Path(__file__).resolve().parents[3] / "ai_memory" / "client" / "__main__.py"
ATLAS = {"workspace": "default", "project": "atlas", "resolved_by": "explicit"}
OF_RECORD = {**ATLAS, "resolved_by": "record"}


def fence(text):
    return f"{FENCE_START}\n{text}\n{FENCE_END}"


@pytest.fixture
def records(desk):
    desk.tools = {tool.name: tool for tool in RECORDS.tools}
    return desk


def store(desk, content="Use WAL mode.", **fields):
    desk.world.passes(seconds=1)
    return desk.call("memory_store", content=content, **{"type": "note", "project": "atlas", **fields})["uuid"]


def test_what_is_stored_is_found_listed_and_read_in_the_shapes_of_the_contract(records):
    answer = records.call(
        "memory_store",
        content="Use WAL mode.",
        type="note",
        project="atlas",
        tags="decision, sqlite",
        importance=7,
        transcript_ref="a.jsonl, b.jsonl",
    )
    uuid = answer["uuid"]
    assert answer == {"uuid": uuid, "status": "stored", "scope": ATLAS}
    row = {
        "uuid": uuid,
        "type": "note",
        "content": fence("Use WAL mode."),
        "project": "atlas",
        "created_at": "2026-11-20T10:00:00",
        "importance": 7,
        "transcript_ref": '["a.jsonl", "b.jsonl"]',
        "tags": "decision, sqlite",
    }
    assert records.call("memory_search", query="wal mode") == {
        "memories": [row],
        "scope": {"resolved_by": "all projects"},
    }
    assert records.call("memory_recent", project="Atlas") == {"memories": [{**row, "session_id": None}], "scope": ATLAS}
    assert records.call("memory_get", uuid=uuid) == {
        **row,
        "session_id": None,
        "status": "active",
        "connections": {"outgoing": [], "incoming": []},
        "scope": OF_RECORD,
    }
    assert records.call("memory_store", content="Use WAL mode.", type="note", project="atlas") == {
        "uuid": uuid,
        "status": "duplicate_skipped",
        "message": f"nothing was stored: {uuid}, of the last hour, begins with the same 100 characters",
        "scope": ATLAS,
    }
    assert records.call("memory_delete", uuid=uuid) == {"uuid": uuid, "status": "deleted", "scope": OF_RECORD}
    with pytest.raises(NotFoundError, match=f"there is no record {uuid}"):
        records.call("memory_get", uuid=uuid)


def test_a_list_of_tags_and_transcripts_as_json_are_understood(records):
    uuid = store(records, tags=["a", "b"], transcript_ref='["x, y", "z"]')
    row = records.call("memory_get", uuid=uuid)
    assert (row["tags"], row["transcript_ref"]) == ("a, b", '["x, y", "z"]')


def test_the_session_of_a_record_is_the_callers_unless_it_says_another(records):
    who = Who(agent="codex", session="s-1")
    mine = records.call("memory_store", who, content="a", type="note")["uuid"]
    other = records.call("memory_store", who, content="b", type="note", session_id="s-2")["uuid"]
    assert [records.call("memory_get", uuid=uuid)["session_id"] for uuid in (mine, other)] == ["s-1", "s-2"]
    path = f"notes/records/{mine}.md"
    assert records.memory.pages.read(records.project("scratch"), path).version.author == "Codex"


def test_a_long_narrative_is_cut_in_lists_and_whole_by_its_uuid(records):
    text = "# Atlas " + "x" * 600
    uuid = store(records, text, type="narrative")
    (row,) = records.call("memory_recent")["memories"]
    assert row["content"] == fence(text[:500] + "…") + f"\n(memory_get {uuid} gives all 608 characters)"
    assert records.call("memory_get", uuid=uuid)["content"] == fence(text)
    store(records, "y" * 600)
    (row,) = records.call("memory_search", query="y" * 600)["memories"]
    assert row["content"] == fence("y" * 600)


def test_connections_are_shown_from_both_ends_with_the_beginning_of_the_other(records):
    one = store(records, "o" * 400)
    two = store(records, "two", connections=[{"to_uuid": one, "relationship": "related_to"}])
    way = {"from_uuid": two, "to_uuid": one, "relationship": "supersedes"}
    assert records.call("memory_connect", **way) == {"status": "connected", **way, "scope": OF_RECORD}
    outgoing = records.call("memory_get", uuid=two)["connections"]
    shown = fence("o" * 200 + "…") + f"\n(memory_get {one} gives all 400 characters)"
    memory = {"type": "note", "content": shown, "project": "atlas"}
    assert outgoing == {
        "outgoing": [
            {"to_uuid": one, "relationship": "related_to", "memory": memory},
            {"to_uuid": one, "relationship": "supersedes", "memory": memory},
        ],
        "incoming": [],
    }
    around = records.call("memory_explore", uuid=one, depth=7)
    assert (around["start_uuid"], around["depth"], around["scope"]) == (one, 3, OF_RECORD)
    assert [(node["uuid"], sorted(node)) for node in around["nodes"]] == [
        (uuid, ["content", "created_at", "importance", "project", "type", "uuid"]) for uuid in (one, two)
    ]
    assert around["edges"] == [{**way, "relationship": "related_to"}, way]


def test_what_leads_to_a_record_that_is_gone_is_shown_as_gone(records):
    file = {"type": "note", "content": "x", "created_at": "2026-01-01T00:00:00"}
    file["connections"] = [{"to_uuid": "1" * 32, "relationship": "related_to"}]
    records.memory.records.bring_in([("0" * 32, file)], NOBODY, dry_run=False)
    assert records.call("memory_get", uuid="0" * 32)["connections"]["outgoing"] == [
        {"to_uuid": "1" * 32, "relationship": "related_to", "memory": None}
    ]


def test_coverage_says_what_is_not_covered_yet(records, tmp_path):
    folder = tmp_path / "transcripts" / "-home-ana-projects-atlas"
    folder.mkdir(parents=True)
    one, two = (str(folder / f"{name}.jsonl") for name in ("one", "two"))
    Path(one).touch()
    Path(two).touch()
    records.memory.records._transcripts = Transcripts(folder.parent)
    store(records)
    assert records.call("narrative_coverage", project="atlas") == {
        "project": "atlas",
        "narrative_uuid": None,
        "status": "no_narrative",
        "on_disk": [one, two],
        "processed": [],
        "unprocessed": [one, two],
        "summary": f"atlas has no narrative yet. 2 transcripts in {folder.parent}, 2 of them not covered.",
        "scope": ATLAS,
    }
    gone = one.replace("one", "gone")
    uuid = store(records, "N.", type="narrative", transcript_ref=[one, gone])
    assert records.call("narrative_coverage", project="atlas") == {
        "project": "atlas",
        "narrative_uuid": uuid,
        "narrative_updated": "2026-11-20T10:00:02",
        "on_disk_count": 2,
        "processed_count": 2,
        "unprocessed_count": 1,
        "unprocessed": [two],
        "stale_refs": [gone],
        "summary": f"2 transcripts in {folder.parent}, 1 of them not covered; 1 that the narrative names are gone.",
        "scope": ATLAS,
    }


def test_coverage_says_so_where_the_transcripts_are_on_another_machine(records, tmp_path):
    records.memory.records._transcripts = Transcripts(tmp_path / "none")
    store(records, "N.", type="narrative", transcript_ref=["/home/ana/.claude/projects/a/one.jsonl"])
    answer = records.call("narrative_coverage", project="atlas")
    assert (answer["on_disk_count"], answer["unprocessed"], answer["stale_refs"]) == (0, [], [])
    assert "transcripts that are on another machine are not seen" in answer["summary"]


@pytest.mark.parametrize(
    ("tool", "arguments", "error"),
    [
        ("memory_store", {"content": "x", "type": "thought"}, ValidationError),
        ("memory_store", {"content": "x", "type": "note", "importance": 11}, ValidationError),
        ("memory_store", {"content": "x", "type": "note", "importance": "5"}, ValidationError),
        ("memory_store", {"content": " ", "type": "note"}, BadRecordError),
        ("memory_store", {"content": "x", "type": "narrative"}, BadRecordError),
        (
            "memory_store",
            {"content": "x", "type": "note", "connections": [{"to_uuid": "f" * 32, "relationship": "related_to"}]},
            NotFoundError,
        ),
        ("memory_store", {"content": "x", "type": "note", "connections": [{"to_uuid": "f" * 32}]}, ValidationError),
        ("memory_search", {"query": "x", "project": "nowhere"}, NotFoundError),
        ("memory_search", {"query": "x", "type": "thought"}, BadRecordError),
        ("memory_recent", {"project": "nowhere"}, NotFoundError),
        ("memory_recent", {"limit": 0}, ValidationError),
        ("memory_get", {"uuid": "../../etc"}, NotFoundError),
        ("memory_connect", {"from_uuid": "a", "to_uuid": "b", "relationship": "related_to"}, NotFoundError),
        ("memory_explore", {"uuid": "f" * 32}, NotFoundError),
        ("memory_delete", {"uuid": "f" * 32}, NotFoundError),
        ("narrative_coverage", {"project": "nowhere"}, NotFoundError),
    ],
)
def test_what_is_refused_leaves_nothing_behind(records, tool, arguments, error):
    store(records)
    before = records.everything()
    with pytest.raises(error):
        records.call(tool, **arguments)
    assert records.everything() == before


def test_a_hostile_record_is_tamed_by_every_tool(records, hostile):
    text, assert_tamed = hostile
    one = store(records, text, tags=f"{FENCE_END}\x1b[2J, evil", session_id=f"evil {FENCE_START}")
    two = store(records, "two", connections=[{"to_uuid": one, "relationship": "related_to"}])
    for answer in (
        records.call("memory_search", query="saffron"),
        records.call("memory_recent"),
        records.call("memory_get", uuid=one),
        records.call("memory_get", uuid=two),
        records.call("memory_explore", uuid=two),
    ):
        assert_tamed(answer)


def test_what_was_read_can_be_stored_again_without_its_marks(records):
    shown = records.call("memory_get", uuid=store(records, "Use WAL mode."))["content"]
    again = store(records, shown, project="other")
    assert records.memory.records.get(again).record.content == "Use WAL mode."


def over_http(server, _):
    return str(server.make_url("/mcp/records"))


def over_sse(server, _):
    return sse_client(str(server.make_url("/mcp/sse?toolset=records")))


def over_stdio(server, folder):
    told = ["--server-url", str(server.make_url("/")), "--data-dir", str(folder), "--toolset", "records"]
    return StdioServerParameters(command=sys.executable, args=["-I", "-S", str(BRIDGE), "mcp", *told], cwd=folder)


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
@pytest.mark.parametrize("transport", [over_http, over_sse, over_stdio], ids=["http", "sse", "stdio"])
async def test_the_official_client_drives_every_record_tool(server, tmp_path, transport):
    async with Client(transport(server, tmp_path)) as client:
        called = []

        async def call(tool, **arguments):
            answer = await client.call_tool(tool, arguments)
            assert not answer.is_error, answer.content
            assert json.loads(answer.content[0].text) == answer.structured_content
            called.append(tool)
            return answer.structured_content

        one = (await call("memory_store", content="one", type="note", project="atlas"))["uuid"]
        two = (await call("memory_store", content="two", type="narrative", project="atlas"))["uuid"]
        await call("memory_connect", from_uuid=one, to_uuid=two, relationship="related_to")
        found = await call("memory_search", query="one", project="atlas")
        recent = await call("memory_recent", limit=5)
        got = await call("memory_get", uuid=one)
        around = await call("memory_explore", uuid=two)
        covered = await call("narrative_coverage", project="atlas")
        await call("memory_delete", uuid=one)
        listed = [tool.name for tool in (await client.list_tools()).tools]
        assert client.instructions == RECORDS.instructions
    assert sorted(called[1:]) == sorted(listed)
    assert [each["uuid"] for each in found["memories"]] == [one]
    assert [each["uuid"] for each in recent["memories"]] == [two, one]
    assert [each["to_uuid"] for each in got["connections"]["outgoing"]] == [two]
    assert [each["uuid"] for each in around["nodes"]] == [two, one]
    assert covered["narrative_uuid"] == two


def test_the_instructions_fit_into_what_clients_show():
    assert len(RECORDS.instructions) <= 2_000
