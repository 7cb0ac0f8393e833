import asyncio
import os
from pathlib import Path

from ai_memory.store import archive


def left_open():
    """Files that this process holds open though they have no name any more."""
    links = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [link for link in links if link.endswith("(deleted)") and "/data/" in link]


async def nothing_left_open():
    """Wait until the server has closed its archive: the client may have all of it a moment before."""
    async with asyncio.timeout(10):
        while left_open():
            await asyncio.sleep(0)


async def test_the_door_answers_with_a_whole_archive(server, agent, tmp_path):
    await agent(server).works()
    answer = await server.post("/admin/backup")
    assert (answer.status, answer.content_type) == (200, "application/gzip")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="backup.tar.gz"'
    body = await answer.read()
    assert int(answer.headers["Content-Length"]) == len(body)
    (tmp_path / "got.tar.gz").write_bytes(body)
    assert len(archive.read(tmp_path / "got.tar.gz").tally.sessions) == 1
    await nothing_left_open()


async def test_a_client_that_goes_away_leaves_nothing_behind(server, agent, tmp_path):
    await agent(server).works()
    noise = tmp_path / "data" / "raw" / "noise.jsonl.gz"
    noise.write_bytes(os.urandom(30_000_000))
    answer = await server.post("/admin/backup")
    assert await answer.content.read(100)
    answer.close()
    await nothing_left_open()
    assert [path.name for path in (tmp_path / "data").iterdir() if path.name.startswith((".snap", "tmp"))] == []
    assert (await server.get("/healthz")).status == 200


async def test_without_room_the_answer_says_so(server, monkeypatch, tmp_path):
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: type("usage", (), {"free": 0}))
    answer = await server.post("/admin/backup")
    assert answer.status == 507
    assert "needs about 17 MB of free space" in (await answer.json())["error"]
    assert list((tmp_path / "data").glob(".snapshot*")) == []
