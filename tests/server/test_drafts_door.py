"""The draft of a session over HTTP, and the packet that goes with a handoff."""

import pytest

from ai_memory.memory.drafts import TOO_LITTLE

HERE = {"cwd": "/srv/shop", "repo_root": "/srv/shop"}


async def draft(server, **query):
    answer = await server.get("/admin/packets/draft", params=query)
    return answer.status, await answer.json()


async def accept(server, **body):
    answer = await server.post("/admin/handoffs/accept", json={"routing": HERE, "agent": "codex", **body})
    assert answer.status == 200
    return await answer.json()


async def test_the_draft_of_a_session_is_found_by_its_id_and_by_the_directory(server, agent):
    first, second = agent(server), agent(server)
    await first.works(prompt="Fix the rounding.")
    await second.works(prompt="Write the letter.")
    status, here = await draft(server, **HERE)
    assert (status, here["session_id"], here["packet"]["goal"]) == (200, second.id, "Write the letter.")
    status, named = await draft(server, session=first.id)
    assert (status, {key: value for key, value in named.items() if key != "packet"}) == (
        200,
        {
            "session_id": first.id,
            "scope": "default/shop",
            "path": f"packets/{named['packet']['id']}.md",
            "saved": False,
            "refused": [],
        },
    )
    assert named["packet"]["goal"] == "Fix the rounding."
    # An id that only its own agent knows finds it, too, wherever the caller is.
    assert (await draft(server, session=first.id, cwd="/elsewhere"))[1] == named


async def test_what_has_no_draft_says_why(server, agent):
    asking = agent(server)
    await asking.says("user-prompt", prompt="What does it do?")
    status, answer = await draft(server, **HERE)
    assert (status, answer["error"]) == (404, f"session {asking.id} of default/shop {TOO_LITTLE}")
    status, answer = await draft(server, session="6f8a2f0c-5f63-4f0e-9d0c-0d8f6a3f0009")
    assert (status, answer["error"]) == (
        404,
        "there is no session 6f8a2f0c-5f63-4f0e-9d0c-0d8f6a3f0009 that did anything",
    )
    status, answer = await draft(server, cwd="/elsewhere")
    assert (status, answer["error"]) == (
        404,
        "nothing was recorded here yet: name the session, or go to its directory",
    )


async def test_a_handoff_gives_its_packet_when_that_is_asked_for(server, agent):
    await agent(server).works(prompt="Fix the rounding.")
    wanted = (await draft(server, **HERE))[1]["packet"]
    answer = await accept(server, packet=True)
    assert (answer["packet"], answer["packet_problem"]) == (wanted, None)
    assert set(await accept(server)) == {"handoff", "scope"}
    assert await accept(server, packet=True) == {"handoff": None, "scope": "default/shop"}


async def test_a_packet_that_may_not_travel_stays_where_it_is_and_the_answer_says_why(server, agent):
    await agent(server).works(prompt="Move /etc/shop/rates to the database.")
    status, found = await draft(server, **HERE)
    assert (status, found["refused"][0]) == (200, "goal/abs-path: /etc/shop/rates")
    answer = await accept(server, packet=True)
    assert answer["packet"] is None
    assert answer["packet_problem"].startswith(f"packet {found['packet']['id']} stays here, as it holds what may not")


@pytest.mark.parametrize("packet_id", ["nothing-like-it", "\u2028 \x07 no id"], ids=["unknown", "odd"])
async def test_a_handoff_that_names_no_packet_that_is_there_is_refused_and_makes_no_project(
    server, packet_id, tmp_path
):
    body = {"routing": HERE, "summary": "VAT is done", "packet_id": packet_id}
    refused = await server.post("/admin/handoffs/begin", json=body)
    assert refused.status == 404
    assert (await refused.json())["error"].startswith("there is no packet ")
    assert list((tmp_path / "data" / "wiki").glob("*/_meta.md")) == []
