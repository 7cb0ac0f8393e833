"""Every tool refuses what it cannot do for sure, with a sentence, and leaves nothing behind."""

import io
import json

import pytest

from ai_memory.server.app import create_app
from ai_memory.server.mcp.schema import schema_of
from ai_memory.server.mcp.toolsets import ADDRESSES

#: What each tool needs to be called at all; a session, page or handoff of this name need not exist.
NEEDED = {
    "memory_query": {"query": "saffron"},
    "memory_read_page": {"path": "notes/a.md"},
    "memory_write_page": {"path": "notes/new.md", "body": "Text."},
    "memory_delete_page": {"path": "notes/a.md"},
    "memory_handoff_begin": {"summary": "Half way."},
    "memory_handoff_cancel": {"handoff_id": "0198c0de-0000-7000-8000-000000000001"},
    "memory_feedback": {"path": "notes/a.md", "signal": "helpful"},
    "memory_store": {"content": "Use WAL.", "type": "note"},
    "memory_search": {"query": "saffron"},
    "memory_get": {"uuid": "0f3a9c5b7d2e4816a1b2c3d4e5f60718"},
    "memory_connect": {"from_uuid": "0" * 32, "to_uuid": "1" * 32, "relationship": "related_to"},
    "records/memory_explore": {"uuid": "0" * 32},
    "memory_delete": {"uuid": "0" * 32},
    "narrative_coverage": {"project": "shop"},
    "store_memory": {"repo_id": "shop", "content": "Use WAL."},
    "retrieve_memory": {"repo_id": "shop"},
    "delete_memory": {"repo_id": "shop", "key": "a"},
    "show": {"id": "0123456789"},
    "pull": {"id": "0123456789"},
    "push": {"packet": {"goal": "g", "next_step": "n"}},
    "save": {"packet": {"goal": "g", "next_step": "n"}},
    "rm": {"id": "0123456789"},
}
TOKEN = "ana-" + "7" * 40
ALL = [(path, tool) for path, toolset in ADDRESSES.items() for tool in toolset.tools]
IN_PROJECT = [(path, tool) for path, tool in ALL if "workspace" in tool.takes.model_fields]
#: Asking again what was never asked for is no harm, and these say that there is nothing.
NOT_IN_A_SCOPE = {"memory_install_self_routing"}


def needed(path, tool):
    return NEEDED.get(f"{path.rpartition('/')[2]}/{tool.name}", NEEDED.get(tool.name, {}))


def wrong_type(schema):
    return [] if schema["type"] == "object" else {"not": "that"}


class House:
    """A server with two projects called twin, one called shop, and what is on its disk."""

    def __init__(self, memory, data, client):
        self.memory, self.data, self.client = memory, data, client

    async def call(self, path, tool, arguments):
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        headers = {"Authorization": f"Bearer {TOKEN}", "MCP-Protocol-Version": "2025-11-25"}
        headers |= {"Accept": "application/json", "Content-Type": "application/json"}
        sent = io.BytesIO(json.dumps(body).encode())
        answer = await self.client.post(path, data=sent, headers=headers)
        return answer.status, await answer.json(content_type=None) if answer.status == 200 else await answer.text()

    async def refuses(self, path, tool, arguments):
        before = self.everything()
        status, answer = await self.call(path, tool.name, arguments)
        assert status == 200, answer
        assert self.everything() == before, (tool.name, arguments)
        result = answer["result"]
        assert result["isError"], (tool.name, arguments, result)
        (block,) = result["content"]
        assert result["structuredContent"]["error"] == block["text"]
        assert len(block["text"]) < 1_500
        assert "Traceback" not in block["text"]
        assert "internal error" not in block["text"]
        return block["text"]

    def everything(self):
        folders = ("wiki", "raw")
        files = {
            str(file): file.read_bytes()
            for folder in folders
            for file in (self.data / folder).rglob("*")
            if file.is_file() and ".git" not in file.parts
        }
        stores = self.memory.stores
        rows = {
            table: stores.state._database.all(f"SELECT * FROM {table} ORDER BY 1, 2")
            for (table,) in stores.state._database.all("SELECT name FROM sqlite_schema WHERE type = 'table'")
            if table not in ("page_reads", "upkeep") and not table.startswith("sqlite_")
        }
        return files, stores.wiki.git.head(), rows, sorted(each.label for each in self.memory.projects.all())


@pytest.fixture
async def house(memory_with, aiohttp_client, tmp_path):
    memory = memory_with(maintenance__enabled=False)
    tokens = tmp_path / "data" / "user_tokens.json"
    tokens.write_text(json.dumps({TOKEN: "ana"}))
    tokens.chmod(0o600)
    for workspace, project in (("default", "shop"), ("default", "twin"), ("work", "twin")):
        memory.projects.create(workspace, project)
    client = await aiohttp_client(create_app(memory, bind="127.0.0.1:0"))
    return House(memory, tmp_path / "data", client)


async def test_a_scope_that_is_not_there_is_refused_with_what_there_is(house):
    for path, tool in IN_PROJECT:
        for wrong in (
            {"workspace": "default", "project": "nowhere"},
            {"project": "nowhere"},
            {"workspace": "elsewhere", "project": "shop"},
            {"workspace": "elsewhere"},
        ):
            said = await house.refuses(path, tool, needed(path, tool) | wrong)
            assert "default/shop" in said


async def test_a_name_in_two_workspaces_is_refused_with_both(house):
    for path, tool in IN_PROJECT:
        said = await house.refuses(path, tool, needed(path, tool) | {"project": "twin"})
        assert "default/twin" in said
        assert "work/twin" in said


async def test_without_any_scope_nothing_is_answered_as_if_there_were_nothing(house):
    for path, tool in IN_PROJECT:
        said = await house.refuses(path, tool, needed(path, tool))
        assert "default/shop" in said


async def test_what_is_missing_wrong_or_unknown_is_named(house):
    for path, tool in ALL:
        schema, arguments = schema_of(tool.takes), needed(path, tool)
        assert set(schema.get("required", [])) <= set(arguments)
        for key in schema.get("required", []):
            said = await house.refuses(path, tool, {name: value for name, value in arguments.items() if name != key})
            assert f"{key} is missing" in said
        for key, field in schema["properties"].items():
            said = await house.refuses(path, tool, arguments | {key: wrong_type(field)})
            assert key in said
        assert "mood" in await house.refuses(path, tool, arguments | {"mood": "good"})


async def test_what_is_too_large_is_refused(house):
    for path, tool in ALL:
        arguments = needed(path, tool)
        properties = schema_of(tool.takes)["properties"]
        here = {"workspace": "default", "project": "shop"} if "workspace" in properties else {}
        for key, field in properties.items():
            if field["type"] == "string":
                longest = 100 if "enum" in field else field["maxLength"]
                said = await house.refuses(path, tool, arguments | here | {key: "x" * (longest + 1)})
                assert key in said
            if field["type"] == "integer":
                # Some are clamped, as their contract says.
                status, answer = await house.call(path, tool.name, arguments | here | {key: 10**30})
                assert (status, "internal error" in str(answer)) == (200, False)
            if field["type"] == "array":
                item = {"workspace": "default", "project": "shop"} if field["items"]["type"] == "object" else "x"
                said = await house.refuses(path, tool, arguments | {key: [item] * 10_000})
                assert key in said


async def test_a_path_outside_of_the_wiki_is_refused(house):
    for path, tool in [each for each in ALL if "path" in each[1].takes.model_fields]:
        for wrong in (
            "../../etc/passwd",
            "/etc/passwd",
            "notes/../../x.md",
            "notes\\x.md",
            "C:/x.md",
            ".git/config",
            "",
        ):
            arguments = needed(path, tool) | {"workspace": "default", "project": "shop", "path": wrong}
            await house.refuses(path, tool, arguments)


async def test_a_request_that_is_too_large_is_not_read(house):
    for path in ADDRESSES:
        answer = await house.call(path, "memory_query", {"query": "x" * 11_000_000})
        assert answer == (413, "the body is larger than 10 MiB\n")


async def test_a_tool_that_there_is_not_is_a_wrong_request(house):
    for path in ADDRESSES:
        before = house.everything()
        status, answer = await house.call(path, "memory_dream", {})
        assert (status, answer["error"]["code"]) == (200, -32602)
        assert house.everything() == before
