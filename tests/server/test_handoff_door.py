import asyncio
import subprocess

import pytest

NEEDLE = "The tokenizer is done, the parser stops at line 40."


async def test_the_next_agent_starts_with_what_the_last_one_left(server, agent):
    await agent(server).works(answer=NEEDLE)
    text = await agent(server, "codex").starts()
    assert text.startswith("> 📥 ai-memory: pending handoff from previous session")
    assert NEEDLE in text
    assert "`cart.py`" in text


async def test_it_is_given_once(server, agent):
    await agent(server).works()
    first, second = agent(server, "codex"), agent(server, "gemini-cli")
    assert await first.starts()
    assert await second.starts() == ""


async def test_a_receiver_that_lost_the_answer_gets_the_same_again_until_it_works(server, agent):
    await agent(server).works()
    receiver = agent(server, "codex")
    assert await receiver.starts() == await receiver.starts() != ""
    await receiver.says("user-prompt", prompt="go on")
    assert await receiver.starts() == ""


async def test_a_receiver_that_ends_without_having_done_anything_gives_it_back(server, agent, memory_with):
    await agent(server).works(answer=NEEDLE)
    idle = agent(server, "codex")
    await idle.says("session-start")
    await idle.starts()
    await idle.says("session-end")

    async def next_one():
        while not (text := await agent(server, "gemini-cli").starts()):
            await asyncio.sleep(0)
        return text

    assert NEEDLE in await asyncio.wait_for(next_one(), 10)


async def test_a_session_never_gets_its_own(server, agent):
    only = agent(server)
    await only.works()
    assert await only.starts() == ""


async def test_a_source_in_the_middle_of_a_turn_hands_nothing_over_until_it_stops(server, agent):
    source = agent(server)
    await source.works(answer="first answer")
    await source.says("user-prompt", prompt="one more thing")
    assert await agent(server, "codex").starts() == ""
    await source.says("stop", last_assistant_message="second answer")
    assert "second answer" in await agent(server, "codex").starts()


async def test_a_source_that_was_killed_in_the_middle_of_a_turn_hands_over_after_the_quiet_time(server_with, agent):
    server = await server_with(handoff_quiet_secs=1)
    source = agent(server)
    await source.works()
    await source.says("user-prompt", prompt="now the refunds")

    async def later():
        while not (text := await agent(server, "codex").starts()):
            await asyncio.sleep(0.05)
        return text

    text = await asyncio.wait_for(later(), 10)
    assert "Continue from the last request; its turn was not finished" in text


async def test_the_end_of_a_session_whose_handoff_was_taken_opens_no_second_one(server, agent):
    source = agent(server)
    await source.works()
    assert await agent(server, "codex").starts()
    await source.says("session-end")
    assert await agent(server, "gemini-cli").starts() == ""


async def test_a_session_that_goes_on_after_it_was_taken_opens_its_next_generation(server, agent):
    source = agent(server)
    await source.works()
    await agent(server, "codex").starts()
    await source.says("user-prompt", prompt="and the refunds")
    await source.says("stop", last_assistant_message="refunds done")
    assert "refunds done" in await agent(server, "gemini-cli").starts()


async def test_an_agent_that_does_not_show_it_never_takes_it(server, agent):
    await agent(server).works()
    for name in ("grok", "crush", "somebody-new"):
        assert await agent(server, name).starts() == ""
    assert await agent(server, "codex").starts()


async def test_a_sibling_directory_gets_nothing_and_a_subdirectory_does(server, agent):
    await agent(server, cwd="/srv/shop/api").works()
    assert await agent(server, "codex", cwd="/srv/shop/web").starts() == ""
    assert await agent(server, "codex", cwd="/srv/shop/api/v2").starts()


async def test_fifty_sessions_at_once_get_it_exactly_once(server, agent):
    await agent(server).works()
    texts = await asyncio.gather(*(agent(server, "codex").starts() for _ in range(50)))
    assert len([text for text in texts if text]) == 1


async def test_a_session_without_work_leaves_no_page_and_no_handoff(server, agent, tmp_path):
    empty = agent(server)
    for event in ("session-start", "stop", "session-end"):
        await empty.says(event)
    assert await agent(server, "codex").starts() == ""
    assert list((tmp_path / "data" / "wiki").glob("*/*/sessions/*.md")) == []


async def test_asking_creates_nothing(server, agent, tmp_path):
    assert await agent(server, "codex").starts() == ""
    assert list((tmp_path / "data" / "wiki").glob("*/_meta.md")) == []


async def test_the_answer_says_which_scope_it_is_from_and_how_that_was_found(server, agent):
    await agent(server, identity="github.com/acme/shop").works()
    answer = await server.get("/handoff", params={"agent": "codex", "cwd": "/x/y", "identity": "github.com/acme/shop"})
    assert answer.headers["X-Memory-Scope"] == "default/shop; by=git-remote"


@pytest.mark.parametrize("bad", [{"workspace": "A B"}, {"project": "/", "project_src": "marker"}, {"cwd": "/"}])
async def test_a_bad_scope_is_answered_with_nothing_to_inject(server, bad):
    answer = await server.get("/handoff", params={"agent": "codex", "cwd": "/srv/shop", **bad})
    assert (answer.status, await answer.text()) == (200, "")
    assert answer.headers["X-Memory-Notice"]


async def test_a_handoff_by_hand_goes_first_and_says_what_was_written(server, agent):
    await agent(server).works()
    routing = {"cwd": "/srv/shop", "repo_root": "/srv/shop"}
    body = {"routing": routing, "summary": "VAT is done", "next_steps": ["refunds"], "from_agent": "claude-code"}
    made = await (await server.post("/admin/handoffs/begin", json=body)).json()
    assert (made["scope"], made["resolved_by"]) == ("default/shop", "repo-root")
    text = await agent(server, "codex").starts()
    assert "VAT is done" in text
    assert "- refunds" in text


async def test_a_cancelled_handoff_is_gone_and_cannot_be_accepted(server, agent):
    await agent(server).works()
    (row,) = (await (await server.get("/admin/handoffs")).json())["handoffs"]
    body = {"routing": {"cwd": "/srv/shop"}, "handoff_id": row["id"]}
    assert (await (await server.post("/admin/handoffs/cancel", json=body)).json())["state"] == "cancelled"
    refused = await server.post("/admin/handoffs/accept", json=body)
    assert (refused.status, (await refused.json())["error"]) == (
        409,
        f"handoff {row['id']} is not open any more: it is cancelled",
    )
    assert await agent(server, "codex").starts() == ""


async def test_the_page_is_committed_when_somebody_takes_the_handoff(server, agent, tmp_path):
    await agent(server).works(prompt="Fix the VAT rounding.")
    await agent(server, "codex").starts()

    def subjects():
        wiki = tmp_path / "data" / "wiki"
        done = subprocess.run(["git", "log", "--format=%an: %s"], cwd=wiki, capture_output=True, text=True)
        return done.stdout.strip()

    async def committed():
        while not (log := await asyncio.to_thread(subjects)):
            await asyncio.sleep(0.01)
        return log

    log = await asyncio.wait_for(committed(), 10)
    assert log.startswith("Claude Code: session ")
    assert log.endswith("Fix the VAT rounding. (handed over)")


async def test_a_session_that_is_resumed_gets_what_another_agent_left_since(server, agent):
    first = agent(server)
    await first.works()
    second = agent(server, "codex")
    await second.starts()
    await second.works(answer=NEEDLE)
    await first.says("session-start", source="compact")
    assert await first.starts() == ""
    await first.says("session-start", source="resume")
    assert NEEDLE in await first.starts()


async def test_a_client_that_can_wait_no_longer_leaves_it_open(server, agent):
    await agent(server).works()
    assert await agent(server, "codex").starts(wait_ms="90") == ""
    assert await agent(server, "codex").starts(wait_ms="500")
