"""A server of its own, and commands as a person types them in a project's directory."""

import json
import os
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from ai_memory.cli import cli
from ai_memory.errors import AiMemoryError
from tests.forked import Forked, ai_memory_program, run

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = [sys.executable, "-m", "ai_memory"]


class Desk:
    """One data directory, its server, and somebody at a terminal in ~/shop."""

    def __init__(self, tmp_path, home, port):
        self.data, self.shop = tmp_path / "data", home / "shop"
        self.shop.mkdir()
        self.log = tmp_path / "log"
        self._port = port
        self._server = None
        self._env = {
            **os.environ,
            "AI_MEMORY_SERVER_URL": f"http://127.0.0.1:{port}",
            "LOGNAME": "ana",
            "PYTHONPATH": str(ROOT),
        }

    def serve(self):
        self.log.touch()
        begun = self.log.stat().st_size
        command = ["serve", "--data-dir", str(self.data), "--bind", f"127.0.0.1:{self._port}"]
        self._server = Forked(ai_memory_program, *command, env=self._env, stderr=self.log)
        deadline = time.monotonic() + 30
        while "listening on" not in self.log.read_text()[begun:]:
            assert self._server.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def stop(self):
        if self._server:
            self._server.terminate()
            self._server.wait(10)
            self._server = None

    def run(self, *arguments, cwd=None, stdin=b""):
        command = ["--data-dir", str(self.data), *arguments]
        done = run(ai_memory_program, *command, cwd=cwd or self.shop, stdin=stdin, env=self._env)
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done

    def says(self, *arguments, **options):
        """Run a command that has to succeed; gives its standard output."""
        done = self.run(*arguments, **options)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def refuses(self, *arguments, **options):
        """Run a command that has to fail; gives its exit code and what it said on stderr last."""
        done = self.run(*arguments, **options)
        return done.returncode, done.stderr.decode().strip().splitlines()[-1]

    def writes(self, path, body, *options):
        return self.says("write-page", "--path", path, "--body", body, *options)

    def page(self, path):
        """The file of a page."""
        (folder,) = [file.parent for file in (self.data / "wiki").glob("*/*/_meta.md")]
        return folder / path


@pytest.fixture
def desk(tmp_path, own_home, free_port):
    desk = Desk(tmp_path, own_home, free_port)
    desk.serve()
    yield desk
    desk.stop()


@dataclass
class Asked:
    """One request, as it came over the wire."""

    line: str
    headers: dict
    body: bytes

    @property
    def bearer(self):
        return self.headers.get("Authorization")


class WireServer:
    """A server of packets on loopback that notes every request and answers as it is told."""

    def __init__(self):
        wire = self

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                wire.asked.append(Asked(f"{self.command} {self.path}", dict(self.headers.items()), body))
                told = wire.answers.get(f"{self.command} {self.path}", (404, {"error": "not found"}))
                told = told.pop(0) if isinstance(told, list) else told
                status, content, headers = (*told, {})[:3]
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._server.daemon_threads = True
        self.host = f"http://127.0.0.1:{self._server.server_port}"
        self.clear()
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def clear(self):
        self.asked, self.answers = [], {}

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    @property
    def lines(self):
        return [each.line for each in self.asked]


@dataclass
class Said:
    """What a command did: its exit code, and what it wrote where."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def wire_servers():
    """Two servers: this machine's own, and somebody else's."""
    servers = WireServer(), WireServer()
    yield servers
    for server in servers:
        server.close()


@pytest.fixture
def wire(wire_servers, own_home, monkeypatch):
    """Somebody else's server, at which this machine is signed in."""
    for server in wire_servers:
        server.clear()
    own, other = wire_servers
    monkeypatch.setenv("AI_MEMORY_SERVER_URL", own.host)
    folder = own_home / ".local/share/ai-memory"
    folder.mkdir(parents=True)
    other.credentials = folder / "credentials.json"
    other.credentials.write_text(json.dumps({"default": other.host, "tokens": {other.host: "token-of-other"}}))
    return other


@pytest.fixture
def own(wire_servers, wire):
    """This machine's own ai-memory server; nobody is signed in anywhere else."""
    wire.credentials.unlink()
    return wire_servers[0]


@pytest.fixture
def type_(own_home):
    """Run a command in this process, as at a terminal whose input and output are pipes."""

    def run(*arguments, stdin=b""):
        done = CliRunner().invoke(cli, list(arguments), input=stdin)
        code, err = done.exit_code, done.stderr
        if isinstance(done.exception, AiMemoryError):
            code, err = done.exception.exit_code, f"{err}error: {done.exception}\n"
        elif done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Said(code, done.stdout, err)

    return run


@pytest.fixture
def at_terminal(own_home, tmp_path):
    """Run a command at a terminal; gives its exit code and everything that was to be seen there."""

    def run(arguments, *dialogue):
        """Type each text as soon as what it answers is to be seen."""
        import pty

        ours, theirs = pty.openpty()
        env = {**os.environ, "PATH": str(tmp_path), "PYTHONPATH": str(ROOT), "COLUMNS": "60"}
        command = [*PROGRAM, *arguments]
        program = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
        os.close(theirs)
        seen = b""
        for question, typed in dialogue:
            while question not in seen:
                assert select.select([ours], [], [], 30)[0], seen
                seen += os.read(ours, 4096)
            os.write(ours, typed)
        # The end of a terminal whose program is gone is an error on some systems.
        with suppress(OSError):
            while select.select([ours], [], [], 30)[0] and (more := os.read(ours, 4096)):
                seen += more
        os.close(ours)
        return program.wait(30), seen

    return run
