import asyncio
import io
import json

import pytest

from ai_memory.errors import StorageError


async def test_an_event_is_answered_when_it_is_on_disk(server, agent, raw_lines):
    answer = await agent(server).says("user-prompt", prompt="hello")
    assert (answer.status, await answer.text()) == (202, "queued")
    assert answer.headers["X-Memory-Scope"] == "default/shop; by=repo-root"
    assert [(row["kind"], row["body"]) for row in raw_lines()] == [("user-prompt", "hello")]


async def test_an_event_that_is_sent_again_is_stored_once(server, agent, raw_lines):
    sender = agent(server)
    for _ in range(3):
        assert (await sender.says("user-prompt", key="k1", prompt="hello")).status == 202
    assert len(raw_lines()) == 1


async def test_a_malformed_key_counts_as_none(server, agent, raw_lines):
    sender = agent(server)
    for _ in range(2):
        await sender.says("user-prompt", key="not a key!", prompt="hello")
    assert len(raw_lines()) == 2


async def test_a_batch_tells_each_events_outcome_and_one_bad_item_does_not_stop_its_neighbours(server, raw_lines):
    items = [
        {
            "url": "/hook?event=user-prompt&agent=codex&cwd=/w/app&ingest_key=a",
            "body": {"session_id": "s1", "prompt": "one"},
        },
        {"url": "http://x/hook?event=stop&agent=codex&cwd=/w/app&ingest_key=b", "body": {}},
        {
            "url": "/hook?event=user-prompt&agent=codex&cwd=/w/app&ingest_key=a",
            "body": {"session_id": "s1", "prompt": "one"},
        },
        {
            "url": "/hook?event=post-tool-use&agent=codex&cwd=/w/app&ingest_key=c",
            "body": {"session_id": "s1", "agent_id": "x"},
        },
        {"url": "/hook?event=user-prompt&agent=codex&cwd=/&ingest_key=d", "body": {"session_id": "s2", "prompt": "x"}},
        {"url": "/hook?event=stop&agent=codex&cwd=/w/app&ingest_key=e", "body": {"session_id": "s1"}},
    ]
    answer = await server.post("/hook/batch", json=items)
    said = await answer.json()
    assert (answer.status, said["accepted"]) == (200, 6)
    assert [result["outcome"] for result in said["results"]] == [
        "stored",
        "dropped_invalid",
        "replayed",
        "dropped_subagent",
        "dropped_scope",
        "stored",
    ]
    assert said["results"][0] == {"index": 0, "outcome": "stored", "scope": "default/app", "resolved_by": "name"}
    assert [row["key"] for row in raw_lines()] == ["a", "e"]


async def test_events_without_a_session_start_make_their_session_all_the_same(server, agent, raw_lines):
    await agent(server).says("stop", last_assistant_message="done")
    assert [row["kind"] for row in raw_lines()] == ["stop"]


async def test_a_second_end_of_a_session_is_nothing_new(server, agent, raw_lines):
    sender = agent(server)
    await sender.works()
    for _ in range(3):
        assert (await sender.says("session-end")).status == 202
    assert [row["kind"] for row in raw_lines()].count("session-end") == 1


async def test_an_end_of_an_unknown_session_creates_nothing(server, agent, raw_lines):
    assert (await agent(server).says("session-end")).status == 202
    assert raw_lines() == []


async def test_the_events_own_time_is_kept_where_it_can_be_true(server, agent, raw_lines):
    sender = agent(server)
    await sender.says("user-prompt", prompt="late", occurred_at="2026-01-05T10:00:00Z")
    await sender.says("stop", occurred_at="2999-01-01T00:00:00Z")
    await sender.says("stop", occurred_at="yesterday")
    times = [row["at"][:10] for row in raw_lines()]
    assert times[0] == "2026-01-05"
    assert "2999-01-01" not in times


async def test_prompts_and_answers_can_be_left_out(server_with, agent, tmp_path):
    server = await server_with(capture_prompts=False, capture_assistant=False)
    await agent(server).works(prompt="the secret plan", answer="the secret answer")
    stored = b"".join(file.read_bytes() for file in (tmp_path / "data" / "raw").rglob("*.jsonl"))
    assert b"secret" not in stored


WRONG = {
    "no event": ("/hook?agent=codex", {"session_id": "s"}, 400, "the query must name the event"),
    "unknown event": (
        "/hook?event=bogus&agent=claude-code&cwd=/w/a",
        {"session_id": "s"},
        400,
        "unknown event 'bogus'",
    ),
    "no session id": ("/hook?event=stop&agent=codex&cwd=/w/a", {}, 400, "no session id: nothing was stored"),
    "not JSON": ("/hook?event=stop&agent=codex&cwd=/w/a", b"{nope", 400, "the body is not JSON"),
    "not an object": ("/hook?event=stop&agent=codex&cwd=/w/a", ["x"], 400, "the body must be a JSON object"),
    "not UTF-8": ("/hook?event=stop&agent=codex&cwd=/w/a", b'{"a": "\xff"}', 400, "the body is not JSON"),
    "nested without end": ("/hook?event=stop&agent=codex&cwd=/w/a", b"[" * 100_000, 400, "the body is not JSON"),
    "a name that is not legal": (
        "/hook?event=stop&agent=codex&cwd=/w/a&project=A%20B&project_src=marker",
        {"session_id": "s"},
        422,
        "not usable",
    ),
    "a home directory": ("/hook?event=stop&agent=codex&cwd=/", {"session_id": "s"}, 422, "nothing is recorded for /"),
    "a batch that is no list": ("/hook/batch", {"url": "x"}, 400, "the body must be a JSON array"),
    "a batch item without a url": ("/hook/batch", [{"body": {}}], 400, "item 0 must be an object"),
    "a session id without end": (
        "/hook?event=stop&agent=codex&cwd=/w/a",
        {"session_id": "s" * 513},
        400,
        "longer than 512",
    ),
    "a path without end": (
        "/hook?event=stop&agent=codex",
        {"session_id": "s", "cwd": "/" + "x" * 5000},
        422,
        "longer than 4096",
    ),
    "a batch of 257": ("/hook/batch", [{"url": "/hook?event=stop", "body": {}}] * 257, 413, "at most 256 items"),
    "11 MiB": ("/hook?event=stop&agent=codex&cwd=/w/a", b" " * (11 * 1024 * 1024), 413, "larger than 10 MiB"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_wrong_input_has_a_clear_answer_and_leaves_no_trace(case, server, tmp_path):
    path, body, status, sentence = WRONG[case]
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await server.post(path, data=io.BytesIO(data), headers={"Content-Type": "application/json"})
    text = await answer.text()
    assert (answer.status, "Traceback" in text) == (status, False)
    assert sentence in text
    assert list((tmp_path / "data" / "raw").rglob("*")) == []
    assert list((tmp_path / "data" / "wiki").glob("*/")) == [tmp_path / "data" / "wiki" / ".git"]


async def test_too_much_in_flight_is_told_to_come_back(server_with, agent, monkeypatch):
    server = await server_with(hook_queue=2)
    answers = await asyncio.gather(*(agent(server).says("user-prompt", prompt="x") for _ in range(40)))
    statuses = {answer.status for answer in answers}
    assert statuses == {202, 429}
    texts = {await answer.text() for answer in answers if answer.status == 429}
    assert texts == {"hook queue full\n"}


async def test_what_could_not_be_written_is_not_acknowledged_and_not_doubled_later(
    server, agent, memory_with, raw_lines, monkeypatch
):
    from ai_memory.store.index import Index

    sender = agent(server)
    await sender.says("session-start")
    save = Index.save

    def full(*_):
        raise StorageError("the index could not be written: disk full")

    monkeypatch.setattr(Index, "save", full)
    refused = await sender.says("user-prompt", key="k1", prompt="hello")
    assert (refused.status, await refused.text()) == (507, "the index could not be written: disk full\n")
    monkeypatch.setattr(Index, "save", save)
    assert (await sender.says("user-prompt", key="k1", prompt="hello")).status == 202
    assert [row["kind"] for row in raw_lines()] == ["session-start", "user-prompt"]


async def test_the_status_tells_what_happened_to_events(server, agent):
    sender = agent(server)
    await sender.says("user-prompt", key="k1", prompt="hello")
    await sender.says("user-prompt", key="k1", prompt="hello")
    await sender.says("post-tool-use", agent_id="sub", tool_name="Bash")
    ingest = (await (await server.get("/admin/status")).json())["ingest"]
    assert {key: ingest[key] for key in ("stored", "replayed", "dropped_subagent")} == {
        "stored": 1,
        "replayed": 1,
        "dropped_subagent": 1,
    }


BAD = {
    "half a surrogate pair": {"session_id": "a\ud800", "prompt": "x\udfff"},
    "a time before time": {"session_id": "s", "occurred_at": "0001-01-01T00:00:00+14:00"},
}


@pytest.mark.parametrize("case", BAD)
async def test_odd_text_is_stored_like_any_other(case, server, raw_lines):
    answer = await server.post("/hook?event=user-prompt&agent=codex&cwd=/w/a", json={"prompt": "x", **BAD[case]})
    assert (answer.status, len(raw_lines())) == (202, 1)


async def test_an_event_that_cannot_be_read_is_refused_alone(server, raw_lines):
    deep = "leaf"
    for _ in range(900):
        deep = [deep]
    items = [
        {
            "url": f"/hook?event=user-prompt&agent=somebody&cwd=/w/a&ingest_key={n}",
            "body": {"session_id": "s", "prompt": body},
        }
        for n, body in enumerate(["one", deep, "three"])
    ]
    answer = await server.post("/hook/batch", json=items)
    assert [result["outcome"] for result in (await answer.json())["results"]] == ["stored", "dropped_invalid", "stored"]
    assert [row["body"] for row in raw_lines()] == ["one", "three"]
    ingest = (await (await server.get("/admin/status")).json())["ingest"]
    assert (ingest["failed"], ingest["last_error"].startswith("RecursionError")) == (1, True)


async def test_what_the_clients_policy_drops_is_not_stored(server, agent, raw_lines):
    answer = await agent(server).says("post-tool-use", tool_name="Read", _ai_memory_capture={"disposition": "drop"})
    assert (answer.status, await answer.text(), raw_lines()) == (202, "capture policy dropped", [])


async def test_a_checkpoint_never_touches_a_log_that_is_being_written(server, agent, raw_lines):
    sender = agent(server)

    async def batch(number):
        items = [
            {
                "url": f"/hook?event={'stop' if n == 39 else 'user-prompt'}&agent=codex&cwd=/w/a&ingest_key={number:04x}{n:04x}",
                "body": {"session_id": sender.id, "prompt": "p" * 60_000},
            }
            for n in range(40)
        ]
        body = io.BytesIO(json.dumps(items).encode())
        return (await (await server.post("/hook/batch", data=body)).json())["accepted"]

    accepted = await asyncio.gather(*(batch(number) for number in range(9)))
    assert sum(accepted) == len(raw_lines()) == 360


async def test_a_batch_that_is_refused_says_that_nothing_of_it_was_taken(server):
    answer = await server.post("/hook/batch", json=[{"url": "/hook?event=stop", "body": {}}] * 257)
    assert (answer.status, (await answer.json())["accepted"]) == (413, 0)
