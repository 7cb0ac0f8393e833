"""The tools for packets: what each answers, whose packets they reach, and what never leaves through them."""

import io
import json
import sys
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

from ai_memory.memory.packets import Push
from ai_memory.model.handoff import FENCE_END, FENCE_START
from ai_memory.model.packet import canonical, example, parse
from ai_memory.model.packet_text import resume_block, summary, table
from ai_memory.server.keys import MEMORY
from ai_memory.server.mcp.protocol import _NOTICE
from ai_memory.server.mcp.toolsets import PACKETS

OWNER, ANA, BOB = "of-the-owner", "token-of-ana", "token-of-bob"
SECRET = "gh" + "p_" + "aB3d" * 9
PACKET = {
    "ltm_version": "0.2",
    "id": "01M7YRRT80Z6V1M9N5R7T2WCEX",
    "created_at": "2026-11-21T10:00:00Z",
    "goal": "Round per invoice.",
    "next_step": "Write the test.",
    "decisions": [{"what": "Half up.", "why": "The law says so.", "locked": True}],
}
KEPT = parse(json.dumps(PACKET).encode())


class Caller:
    """An agent with a token, or with none."""

    def __init__(self, client, token=""):
        self.client = client
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def post(self, name, /, **arguments):
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        headers = {"MCP-Protocol-Version": "2025-11-25", "Accept": "application/json"}
        headers |= {"Content-Type": "application/json", **self.headers}
        return await self.client.post("/mcp/packets", data=io.BytesIO(json.dumps(body).encode()), headers=headers)

    async def result(self, name, /, **arguments):
        answer = await self.post(name, **arguments)
        assert answer.status == 200, await answer.text()
        return (await answer.json())["result"]

    async def call(self, name, /, **arguments):
        """Give the text of an answer and its structured content."""
        result = await self.result(name, **arguments)
        assert not result["isError"], result
        (block,) = result["content"]
        return block["text"], result["structuredContent"]

    async def refused(self, name, /, **arguments):
        result = await self.result(name, **arguments)
        assert result["isError"], result
        (block,) = result["content"]
        assert result["structuredContent"] == {"error": block["text"]}
        return block["text"]


@pytest.fixture
async def client(server_with, tmp_path):
    (tmp_path / "data").mkdir()
    tokens = tmp_path / "data" / "user_tokens.json"
    tokens.write_text(json.dumps({ANA: "ana", BOB: "bob"}))
    tokens.chmod(0o600)
    return await server_with(auth__bearer_token=OWNER, maintenance__enabled=False)


@pytest.fixture
def owner(client):
    return Caller(client, OWNER)


@pytest.fixture
def ana(client):
    return Caller(client, ANA)


@pytest.fixture
def bob(client):
    return Caller(client, BOB)


def fence(text):
    return f"{FENCE_START}\n{text}\n{FENCE_END}"


async def test_a_packet_is_saved_listed_shown_resumed_pulled_and_deleted(owner):
    about = {"id": KEPT.id, "created_at": KEPT.created_at, "team": None, "draft": False}
    notice = {"notice": _NOTICE}
    block, shown = fence(resume_block(KEPT)), fence(summary(KEPT))
    row = (KEPT.id, KEPT.created_at, KEPT.goal)
    assert await owner.call("ls") == ("No packets on server.", {"count": 0, "packets": []})
    assert await owner.call("save", packet=PACKET) == (KEPT.id, {"id": KEPT.id, "team": None})
    assert await owner.call("ls") == (
        table([row]),
        {"count": 1, "packets": [dict(zip(("id", "created_at", "goal"), row, strict=True))]},
    )
    assert await owner.call("show", id=KEPT.id) == (shown, {**notice, **about, "chain": [], "summary": shown})
    assert await owner.call("pull", id=KEPT.id) == (
        canonical(KEPT),
        {**notice, **about, "packet": fence(canonical(KEPT))},
    )
    assert await owner.call("resume", id=KEPT.id) == (block, {**notice, **about, "chosen": "by id", "block": block})
    assert await owner.call("rm", id=KEPT.id) == (f"deleted {KEPT.id}", {"deleted": KEPT.id})
    for tool in ("show", "pull", "resume", "rm"):
        said = await owner.refused(tool, id=KEPT.id)
        assert said == f"not found: you have no packet {KEPT.id!r}; `ls` lists those you have"


async def test_a_push_is_a_page_of_the_wiki_when_it_is_answered(owner, client):
    await owner.call("push", packet=PACKET)
    memory = client.app[MEMORY]
    kept = memory.packets.get("owner", KEPT.id)
    assert memory.packets.counts() == {"saved": 1, "drafts": 0, "waiting": 0}
    assert (kept.path, kept.text) == (f"packets/{KEPT.id}.md", canonical(KEPT))


async def test_to_resume_without_an_id_takes_the_newest_and_says_so(owner):
    assert await owner.refused("resume") == "not found: you have no packets yet; `save` makes one"
    await owner.call("save", packet=PACKET)
    newer, _ = await owner.call("save", packet={**PACKET, "id": "0123456789", "created_at": "2026-11-22T10:00:00Z"})
    text, told = await owner.call("resume")
    assert text.startswith(f"No id was said, so this is your newest packet: {newer}\n\n{FENCE_START}\n# Resume context")
    assert (told["id"], told["chosen"]) == (newer, "newest")


async def test_what_a_writer_need_not_know_is_filled_in(owner):
    first, _ = await owner.call("save", packet={"goal": "g", "next_step": "n"})
    second, _ = await owner.call("save", packet={"goal": "g", "next_step": "n", "parent_id": first})
    packet = parse((await owner.call("pull", id=second))[0].encode())
    text, told = await owner.call("show", id=second)
    assert first != second
    assert (packet.ltm_version, packet.parent_id) == ("0.2", first)
    assert told["chain"] == [first]
    assert f"Goes on from\n  - {first}  g\n" in text


async def test_a_packet_with_a_secret_is_refused_until_that_is_allowed(owner):
    leaking = {**PACKET, "goal": f"Use {SECRET}.", "constraints": ["See /home/bob/notes."]}
    for tool in ("push", "save"):
        said = await owner.refused(tool, packet=leaking)
        assert "redactable" in said
        assert "allow_unredacted" in said
        assert said.endswith("\n  - goal/gh-token: ghp_…\n  - constraints[0]/abs-path: /home/bob/notes.")
        assert SECRET[4:] not in said
    assert await owner.call("ls") == ("No packets on server.", {"count": 0, "packets": []})
    assert (await owner.call("save", packet=leaking, allow_unredacted=True))[0] == KEPT.id
    # What is allowed out of a packet is still no secret that the memory keeps.
    assert SECRET not in (await owner.call("pull", id=KEPT.id))[0]


async def test_of_many_findings_the_first_are_named(owner):
    said = await owner.refused("push", packet={**PACKET, "open_questions": ["/etc/passwd"] * 20})
    assert said.count("open_questions[") == 8
    assert said.endswith("\n  and 12 more")


async def test_what_is_no_packet_is_refused_with_what_is_wrong(owner):
    wrong = [
        ({"goal": "g"}, "schema violation: at the packet itself: required: missing next_step: add it"),
        ({**PACKET, "goal": ""}, "schema violation: at /goal: minLength: it has 0 characters, at least 1 are needed"),
        ({**PACKET, "ltm_version": "0.3"}, 'unsupported ltm_version "0.3" (supported: 0.1, 0.2)'),
        ({**PACKET, "mood": "good"}, 'additionalProperties: unknown field "mood": remove it'),
        ({**PACKET, "constraints": None}, "at /constraints: type: it is null, not array: leave the field out instead"),
        ({**PACKET, "constraints": ["x" * 1024] * 32}, "max is 32768"),
        ({**PACKET, "created_at": "today"}, 'created_at "today" is no RFC 3339 time with a zone'),
    ]
    for packet, said in wrong:
        assert said in await owner.refused("push", packet=packet)
    assert await owner.call("ls") == ("No packets on server.", {"count": 0, "packets": []})


async def test_each_user_has_packets_of_their_own_and_a_stolen_id_changes_nothing(owner, ana, bob):
    await ana.call("save", packet=PACKET)
    for other in (bob, owner):
        assert (await other.call("ls"))[1]["count"] == 0
        for tool in ("show", "pull", "resume", "rm"):
            assert "not found" in await other.refused(tool, id=KEPT.id)
        assert "another id" in await other.refused("push", packet={**PACKET, "goal": "Mine now."})
    assert (await ana.call("pull", id=KEPT.id))[0] == canonical(KEPT)


async def test_a_team_sees_the_packets_that_are_for_it(client, ana, bob, owner):
    memory = client.app[MEMORY]
    memory.teams.create("ana", "shop")
    memory.teams.accept(memory.teams.invite("ana", "shop").code, "bob", "")
    assert await ana.call("save", packet=PACKET, team="shop") == (KEPT.id, {"id": KEPT.id, "team": "shop"})
    assert (await ana.call("ls"))[1]["count"] == 0
    assert [each["id"] for each in (await bob.call("ls", team="shop"))[1]["packets"]] == [KEPT.id]
    assert (await bob.call("resume", id=KEPT.id))[1]["team"] == "shop"
    for tool, arguments in (("ls", {}), ("push", {"packet": PACKET})):
        assert await owner.refused(tool, team="shop", **arguments) == "team not found"
    assert (await bob.call("whoami"))[1]["teams"] == ["shop"]


async def test_nobody_is_let_in_with_a_token_that_nobody_has(client):
    for token in ("", "unknown", OWNER.upper()):
        answer = await Caller(client, token).post("ls")
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_a_token_that_was_issued_opens_the_packets_of_its_user(client):
    token, user = client.app[MEMORY].accounts.issue("laptop")
    issued = Caller(client, token)
    await issued.call("save", packet=PACKET)
    assert (await issued.call("whoami"))[1]["user"] == user
    assert client.app[MEMORY].packets.get(user, KEPT.id).owner == user


async def test_a_server_without_a_token_takes_who_sends_none_as_its_owner(server_with):
    server = await server_with(maintenance__enabled=False)
    text, told = await Caller(server).call("whoami")
    assert json.loads(text) == told
    assert told == {
        "host": "http://127.0.0.1:49374",
        "token_hash8": "",
        "user": "owner",
        "display": "owner",
        "teams": [],
    }
    assert (await Caller(server, "unknown").post("whoami")).status == 401


async def test_whoami_tells_tokens_apart_and_shows_none(ana):
    text, told = await ana.call("whoami")
    assert (told["user"], told["token_hash8"]) == ("ana", "c1f2eb9b")
    assert ANA not in text


async def test_the_sample_packet_needs_no_packets_and_can_be_saved(owner):
    text, told = await owner.call("example")
    assert (text, told) == (example(), {"packet": example()})
    assert (await owner.call("save", packet=json.loads(text)))[0] == parse(text.encode()).id


async def test_a_list_has_at_most_two_hundred_packets(owner, client):
    pushes = [
        Push(
            "owner",
            json.dumps({**PACKET, "id": f"{number:010}", "created_at": f"2026-11-21T10:{number:02}:00Z"}).encode(),
        )
        for number in range(60)
    ]
    client.app[MEMORY].packets.push(pushes)
    assert [(await owner.call("ls", **said))[1]["count"] for said in ({}, {"limit": 7}, {"limit": 10**9})] == [
        50,
        7,
        60,
    ]
    assert "limit" in await owner.refused("ls", limit=0)


async def test_signs_that_nobody_sees_come_back_as_they_were_and_never_raw(owner):
    goal = "a\x1b[2J\u202eb\u2028c\x7f\ufeffd"
    await owner.call("save", packet={**PACKET, "goal": goal})
    text, _ = await owner.call("pull", id=KEPT.id)
    assert set("\x1b\u202e\u2028\x7f\ufeff") & set(text) == set()
    assert parse(text.encode()).goal == goal


def test_the_tools_say_what_they_do_and_what_a_packet_has():
    hints = {tool.name: (tool.reads, tool.destroys, tool.repeats) for tool in PACKETS.tools}
    assert hints == {
        "ls": (True, False, False),
        "show": (True, False, False),
        "pull": (True, False, False),
        "resume": (True, False, False),
        "push": (False, True, True),
        "save": (False, True, True),
        "rm": (False, True, False),
        "example": (True, False, False),
        "whoami": (True, False, False),
    }
    for tool in PACKETS.tools:
        if tool.name in ("push", "save"):
            for name in json.loads(example()):
                assert name in tool.doc
    assert len(PACKETS.instructions) <= 2_000


async def test_the_older_transport_has_a_door_of_its_own_for_packets(client):
    for path in ("/mcp/sse?toolset=packets", "/mcp/sse/packets/messages"):
        for headers in ({}, {"Authorization": "Bearer unknown"}):
            answer = await client.get(path, headers=headers)
            assert (path, answer.status) == (path, 401)
    # The tokens of those who joined are no tokens of the file, and open nothing else.
    token, _ = client.app[MEMORY].accounts.issue("laptop")
    answer = await client.get("/mcp/sse", headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 401
    async with client.get("/mcp/sse?toolset=packets", headers={"Authorization": f"Bearer {token}"}) as stream:
        assert (await stream.content.readline(), stream.status) == (b"event: endpoint\r\n", 200)
        assert (await stream.content.readline()).startswith(b"data: /mcp/sse/packets/messages?")


async def test_packets_are_reached_over_stdin_and_stdout(client, tmp_path):
    bridge = Path(__file__).resolve().parents[3] / "ai_memory" / "client" / "__main__.py"
    told = ["--server-url", str(client.make_url("/")), "--data-dir", str(tmp_path), "--toolset", "packets"]
    (tmp_path / "auth-token").write_text(OWNER)
    start = StdioServerParameters(command=sys.executable, args=["-I", "-S", str(bridge), "mcp", *told], cwd=tmp_path)
    async with Client(start) as agent:
        assert [tool.name for tool in (await agent.list_tools()).tools] == [tool.name for tool in PACKETS.tools]
        saved = await agent.call_tool("save", {"packet": PACKET})
        resumed = await agent.call_tool("resume", {})
    assert saved.content[0].text == KEPT.id
    assert "**Your first action: Write the test.**" in resumed.content[0].text
