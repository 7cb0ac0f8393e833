"""Our server in a thread, for tests that are clients: they need no loop, and one server does for many of them."""

import asyncio
import os
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from ai_memory.config import load_settings
from ai_memory.memory.memory import Memory
from ai_memory.server.app import create_app


class Clock:
    """The time, which a test can make pass."""

    def __init__(self):
        self.passed = timedelta()

    def __call__(self):
        return datetime.now(UTC) + self.passed

    def later(self, days=0, seconds=0):
        self.passed += timedelta(days=days, seconds=seconds)


class OwnServer:
    """A server that runs: its `port`, `url`, `memory` and `clock`."""

    def __init__(self, memory, clock, port):
        self.memory, self.clock, self.port, self.url = memory, clock, port, f"http://127.0.0.1:{port}"


def _serve(memory, packets_token, begun, ended):
    async def life():
        app = create_app(memory, bind="127.0.0.1:0", packets_token=packets_token)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        begun.set_result(runner.addresses[0][1])
        await asyncio.to_thread(ended.wait)
        await runner.cleanup()

    asyncio.run(life())


@contextmanager
def served(tmp_path_factory, packets_token="", clock=None, **flags):
    """Run a server with settings of the test's choice (`auth__bearer_token="…"`), away from the developer's own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AI_MEMORY_", "GIT_", "LTM_", "MCP_TOKENS_"))]:
            patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        flags = {key.replace("__", "."): value for key, value in flags.items()}
        clock = clock or Clock()
        memory = Memory(load_settings(tmp_path_factory.mktemp("data"), flags=flags), clock)
        begun, ended = Future(), threading.Event()
        thread = threading.Thread(target=_serve, args=(memory, packets_token, begun, ended), daemon=True)
        thread.start()
        try:
            yield OwnServer(memory, clock, begun.result(30))
        finally:
            ended.set()
            thread.join(30)
            memory.close()
