"""The failing server and the real hook stubs as processes, as fixtures."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest
from loopback import AGENTS, ROOT, FakeServer


@pytest.fixture
def server():
    found = FakeServer()
    thread = threading.Thread(target=found.serve_forever, args=(0.02,))
    thread.start()
    yield found
    found.go_on.set()
    found.shutdown()
    thread.join()
    found.server_close()


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def project(own_home):
    folder = own_home / "src" / "shop"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def client_dir(tmp_path, data_dir):
    """Stage the stubs and the client as the installer does."""
    hooks = data_dir / "hooks"
    for agent in AGENTS:
        shutil.copytree(ROOT / "hooks" / agent, hooks / agent)
    shutil.copytree(ROOT / "ai_memory" / "client", hooks / "client", ignore=shutil.ignore_patterns("__pycache__"))
    (hooks / "python").write_text(os.path.realpath(sys.executable) + "\n")
    subprocess.run([os.path.realpath(sys.executable), "-m", "compileall", "-q", hooks / "client"], check=True)
    return hooks


class Reply:
    """What a hook printed, and how long the agent waited for it."""

    def __init__(self, process, seconds):
        self.status, self.out, self.err = process.returncode, process.stdout, process.stderr.decode()
        self.seconds = seconds


@pytest.fixture
def environment(own_home):
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(own_home), "TZ": "UTC"}


@pytest.fixture
def hook(client_dir, environment, project):
    """Run a real stub: `hook("codex", "stop", {...})`."""

    def run(agent, stem, payload, **extra):
        if isinstance(payload, dict):
            payload = json.dumps({"session_id": "s-1", "cwd": str(project), **payload}).encode()
        started = time.monotonic()
        done = subprocess.run(
            [client_dir / agent / "hook.sh", stem],
            input=payload,
            capture_output=True,
            env={**environment, **extra},
            cwd=project,
            timeout=30,
        )
        return Reply(done, time.monotonic() - started)

    return run


@pytest.fixture
def points_to(data_dir):
    """Write client.json, as the installer does."""

    def write(url):
        data_dir.mkdir(exist_ok=True)
        (data_dir / "client.json").write_text(json.dumps({"server_url": url}))

    return write
