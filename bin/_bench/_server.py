"""A real server process with a data directory and a home of its own, asked and fed through its doors."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from _load import ROOT, environment, free_port, start

#: Nothing is swept: datasets are older than pages may become.
PLAIN = {"AI_MEMORY_MAINTENANCE__ENABLED": "false"}
HYBRID = {**PLAIN, "AI_MEMORY_EMBEDDING_PROVIDER": "local"}
#: A server that gets nothing more done for so many seconds is stuck.
_STUCK = 120


class Server:
    """`ai-memory serve` on a free port of this machine, and one connection to it."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.data = folder / "data"
        self._is_hybrid = settings == HYBRID
        self.port = free_port()
        home = folder / "home"
        home.mkdir(exist_ok=True)
        arguments = ["-m", "ai_memory", "serve", "--bind", f"127.0.0.1:{self.port}", "--data-dir", str(self.data)]
        self._process = start(arguments, self.port, {**settings, "HOME": str(home)})
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.wait(60)

    def get(self, path: str, **query: str) -> Any:
        """Ask for JSON."""
        return self._answer("GET", f"{path}?{urllib.parse.urlencode(query)}")

    def post(self, path: str, body: object) -> Any:
        """Send JSON, and give the answer's."""
        return self._answer("POST", path, json.dumps(body).encode())

    def _answer(self, method: str, path: str, body: bytes | None = None) -> Any:
        self._connection.request(method, path, body)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 202):
            raise SystemExit(f"{method} {path[:120]}: {answer.status} {text[:300].decode(errors='replace')}")
        if self._is_hybrid and (degraded := answer.getheader("X-Memory-Degraded")):
            raise SystemExit(f"{path[:120]} was answered by words alone: {degraded}")
        return json.loads(text)

    def settle(self) -> None:
        """Wait until every session has its page in git, and nothing waits to be embedded."""
        least, since = -1, time.monotonic()
        while True:
            status = self.get("/admin/status")
            derived, embedding = status["derived"], status["providers"]["embedding"]
            left = derived["sessions_uncompiled"] + derived["sessions_uncommitted"] + embedding.get("waiting", 0)
            if embedding.get("failed") or str(embedding.get("state")).startswith("failed"):
                raise SystemExit(f"texts were not embedded: {embedding}")
            is_ready = not self._is_hybrid or embedding.get("state") == "ready"
            if is_ready and not left:
                return
            if least < 0 or left < least:
                least, since = left, time.monotonic()
            elif time.monotonic() - since > _STUCK:
                raise SystemExit(f"the server gets nothing more done: {left} wait, embedding: {embedding}")
            time.sleep(0.2)


def install_model(data: Path, model: Path) -> None:
    """Run `ai-memory models install` for a data directory that no server has open."""
    command = [sys.executable, "-m", "ai_memory", "--data-dir", str(data), "models", "install", "--from", str(model)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the model could not be installed: {done.stderr.strip()}")
