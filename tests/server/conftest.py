"""A real memory behind a real socket."""

import json
import uuid

import pytest
from aiohttp.test_utils import TestServer

from ai_memory.config import load_settings
from ai_memory.memory.memory import Memory
from ai_memory.server.app import create_app
from tests.memory.conftest import begin


@pytest.fixture
def memory_with(tmp_path):
    """Open a memory with settings of the test's choice."""
    opened = []

    def open_memory(**flags):
        flags = {key.replace("__", "."): value for key, value in flags.items()}
        begin(tmp_path / "data")
        opened.append(Memory(load_settings(tmp_path / "data", flags=flags)))
        return opened[-1]

    yield open_memory
    for memory in opened:
        memory.close()


class Served(TestServer):
    """A server that lets requests go on when their clients leave, as the real one does."""

    async def _make_runner(self, **options):
        return await super()._make_runner(**{**options, "handler_cancellation": False})


@pytest.fixture
def server_with(memory_with, aiohttp_client):
    async def serve(**flags):
        return await aiohttp_client(Served(create_app(memory_with(**flags), bind="127.0.0.1:0")))

    return serve


@pytest.fixture
async def server(server_with, no_blocking):
    return await server_with()


class Agent:
    """An agent's session, as its hooks would post it."""

    def __init__(self, server, name="claude-code", cwd="/srv/shop", **query):
        self.server, self.id = server, str(uuid.uuid4())
        self.query = {"agent": name, "cwd": cwd, "repo_root": "/srv/shop", **query}

    async def says(self, event, key=None, **body):
        query = {**self.query, "event": event, "ingest_key": key or uuid.uuid4().hex}
        return await self.server.post("/hook", params=query, json={"session_id": self.id, **body})

    async def works(self, prompt="Please fix the rounding.", answer="Rounded per invoice."):
        await self.says("session-start", source="startup")
        await self.says("user-prompt", prompt=prompt)
        await self.says("post-tool-use", tool_name="Edit", tool_input={"file_path": "/srv/shop/cart.py"})
        return await self.says("stop", last_assistant_message=answer)

    async def starts(self, **query):
        answer = await self.server.get("/handoff", params={**self.query, "session_id": self.id, **query})
        assert answer.status == 200
        return await answer.text()


@pytest.fixture
def agent():
    return Agent


@pytest.fixture
def raw_lines(tmp_path):
    """Everything in the raw log."""

    def read():
        files = sorted((tmp_path / "data" / "raw").rglob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines() if '"kind"' in line]

    return read
