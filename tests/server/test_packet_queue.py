"""Pushes on their way in: bounded, answered one by one, and pages soon after without anybody asking."""

import asyncio
import json
import time

import pytest

from ai_memory.memory.packets import OWNER, Packets, Push
from ai_memory.server import worker
from ai_memory.server.keys import MEMORY

TOKEN = "the-token-of-who-runs-the-server"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def packet(number):
    return {
        "ltm_version": "0.2",
        "id": f"PACKET{number:04}",
        "created_at": "2026-11-20T10:00:00Z",
        "goal": f"goal {number}",
        "next_step": "go on",
    }


async def push(server, number):
    answer = await server.post("/v1/packets", data=json.dumps(packet(number)), headers=BEARER)
    return answer.status, await answer.json()


async def counts_of(server):
    answer = await server.get("/admin/status", headers=BEARER)
    return (await answer.json())["counts"]["packets"]


@pytest.fixture
async def server(server_with, no_blocking):
    return await server_with(auth__bearer_token=TOKEN)


async def test_packets_become_pages_by_themselves(server, tmp_path):
    answers = await asyncio.gather(*(push(server, number) for number in range(12)))
    assert sorted(each["id"] for status, each in answers if status == 201) == [f"PACKET{n:04}" for n in range(12)]
    end = time.monotonic() + 10
    while (counts := await counts_of(server))["waiting"] and time.monotonic() < end:
        await asyncio.sleep(0.02)
    assert counts == {"saved": 12, "drafts": 0, "waiting": 0}
    assert len(list((tmp_path / "data" / "wiki").rglob("packets/*.md"))) == 12


async def test_a_packet_that_came_through_another_door_becomes_a_page_too(server):
    memory = server.server.app[MEMORY]
    await asyncio.to_thread(memory.packets.push, [Push(OWNER, json.dumps(packet(1)).encode())])
    end = time.monotonic() + 10
    while (counts := await counts_of(server))["waiting"] and time.monotonic() < end:
        await asyncio.sleep(0.02)
    assert counts == {"saved": 1, "drafts": 0, "waiting": 0}


async def test_more_pushes_than_may_wait_are_told_to_come_back_and_leave_nothing(server_with, monkeypatch):
    monkeypatch.setattr(worker, "_PACKET_QUEUE", 2)
    server = await server_with(auth__bearer_token=TOKEN)
    answers = await asyncio.gather(*(push(server, number) for number in range(40)))
    assert {status for status, _ in answers} == {201, 429}
    assert {each["error"] for status, each in answers if status == 429} == {"packet queue full"}
    taken = {each["id"] for status, each in answers if status == 201}
    listed = await (await server.get("/v1/packets?limit=500", headers=BEARER)).json()
    assert {each["id"] for each in listed["packets"]} == taken


async def test_a_group_that_nobody_could_foresee_does_not_end_the_queue(server, monkeypatch, caplog):
    with monkeypatch.context() as broken:
        broken.setattr(Packets, "_placed", lambda *_: 1 / 0)
        assert await push(server, 1) == (500, {"error": "it could not be taken (ZeroDivisionError)"})
    assert "a group of 1 requests of the packet queue could not be taken" in caplog.text
    assert (await push(server, 1))[0] == 201
