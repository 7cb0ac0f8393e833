"""A server of its own, and commands as a person types them in a project's directory."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
        command = [*PROGRAM, "serve", "--data-dir", str(self.data), "--bind", f"127.0.0.1:{self._port}"]
        with self.log.open("ab") as log:
            begun = log.tell()
            self._server = subprocess.Popen(command, cwd=ROOT, stderr=log, env=self._env)
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
        done = subprocess.run(
            [*PROGRAM, "--data-dir", str(self.data), *arguments],
            cwd=cwd or self.shop,
            input=stdin,
            capture_output=True,
            timeout=60,
            env=self._env,
        )
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
