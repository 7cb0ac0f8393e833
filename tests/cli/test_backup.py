"""`backup`, `restore` and `reset` as a person types them, with a real server."""

import gzip
import hashlib
import http.client
import io
import json
import os
import pty
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from ai_memory.store import archive
from tests.forked import Forked, ai_memory_program, run

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = [sys.executable, "-m", "ai_memory"]
SESSION = "7b0e5f9e-3a52-4c55-9a0e-0f2d8b1c9a11"
TOKEN = "0123456789abcdef"


class Desk:
    """A data directory, its server, and the command line."""

    def __init__(self, folder, port):
        self.data, self.port, self.server = folder / "data", port, None
        self.env = {**os.environ, "AI_MEMORY_SERVER_URL": f"http://127.0.0.1:{port}", "AI_MEMORY_AUTH_TOKEN": TOKEN}

    def start(self):
        command = ["serve", "--data-dir", str(self.data), "--bind", f"127.0.0.1:{self.port}"]
        self.server = Forked(ai_memory_program, *command, env=self.env)
        deadline = time.monotonic() + 30
        while self.ask("GET", "/healthz")[0] != 200:
            assert time.monotonic() < deadline
            assert self.server.poll() is None
            time.sleep(0.02)

    def stop(self):
        if self.server:
            self.server.terminate()
            assert self.server.wait(20) == 0
            self.server = None

    def ask(self, method, path, body=None, token=TOKEN):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        except OSError:
            return 0, b"", {}
        finally:
            connection.close()

    def works(self):
        for event, body in (("user-prompt", {"prompt": "fix it"}), ("stop", {}), ("session-end", {})):
            path = f"/hook?event={event}&agent=codex&cwd=/srv/shop&repo_root=/srv/shop&ingest_key={event}"
            assert self.ask("POST", path, json.dumps({"session_id": SESSION, **body}))[0] == 202

    def run(self, *arguments, data=None, text=True):
        done = run(ai_memory_program, "--data-dir", str(data or self.data), *map(str, arguments), env=self.env)
        assert b"Traceback" not in done.stderr
        if text:
            done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        return done


@pytest.fixture
def desk(tmp_path, free_port):
    desk = Desk(tmp_path, free_port)
    yield desk
    if desk.server:
        desk.server.kill()
        desk.server.wait(10)


@pytest.fixture
def saved(desk, tmp_path):
    """A backup of a server with one session; the server still runs."""
    desk.start()
    desk.works()
    desk.stop()
    desk.start()
    done = desk.run("backup", "--to", tmp_path / "backup.tar.gz")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"saved {tmp_path / 'backup.tar.gz'}: 1 project, 1 page, 1 session; 0.0 MB")
    return tmp_path / "backup.tar.gz"


def test_a_backup_is_saved_whole_and_private_and_never_over_another(desk, saved):
    assert saved.stat().st_mode & 0o777 == 0o600
    before = saved.read_bytes()
    again = desk.run("backup", "-o", saved)
    assert (again.returncode, saved.read_bytes()) == (1, before)
    assert "is there already: name another file, or say --force" in again.stderr
    assert desk.run("backup", "-o", saved, "--force").returncode == 0
    assert sorted(path.name for path in saved.parent.glob("backup*")) == ["backup.tar.gz"]
    assert desk.run("backup", "-o", saved.parent).returncode == 2
    assert desk.run("backup", "-o", saved.parent / "no" / "where.tar.gz").returncode == 3


def test_a_backup_can_be_piped(desk, saved, tmp_path):
    done = desk.run("backup", "--to", "-", text=False)
    (tmp_path / "piped.tar.gz").write_bytes(done.stdout)
    assert archive.read(tmp_path / "piped.tar.gz").tally == archive.read(saved).tally


def test_a_backup_is_not_written_to_a_terminal(desk):
    screen, terminal = pty.openpty()
    command = [*PROGRAM, "--data-dir", str(desk.data), "backup", "--to", "-"]
    done = subprocess.run(command, cwd=ROOT, env=desk.env, stdout=terminal, stderr=subprocess.PIPE, text=True)
    os.close(terminal)
    os.close(screen)
    assert done.returncode == 2
    assert "would go to the terminal" in done.stderr


def test_without_a_server_there_is_no_backup_and_no_file(desk, tmp_path):
    done = desk.run("backup", "--to", tmp_path / "backup.tar.gz")
    assert done.returncode == 4
    assert "no server answers" in done.stderr
    assert list(tmp_path.glob("backup*")) == []


def test_the_door_gives_the_archive_to_the_token_only_and_leaves_nothing_behind(desk, saved):
    status, body, headers = desk.ask("POST", "/admin/backup")
    assert (status, headers["Content-Type"]) == (200, "application/gzip")
    assert headers["Content-Disposition"] == 'attachment; filename="backup.tar.gz"'
    assert gzip.decompress(body)
    assert desk.ask("POST", "/admin/backup", token="wrong")[0] == 401
    assert [path.name for path in desk.data.iterdir() if path.name.startswith((".snapshot", "tmp"))] == []


def test_a_restore_waits_for_the_server_and_puts_everything_back(desk, saved):
    refused = desk.run("restore", "--from", saved, "--force")
    assert (refused.returncode, f"process id {desk.server.pid}" in refused.stderr) == (3, True)
    before = json.loads(desk.ask("GET", "/admin/status")[1])["counts"]
    desk.stop()
    refused = desk.run("restore", "--from", saved)
    assert (refused.returncode, "say --force" in refused.stderr) == (1, True)
    done = desk.run("restore", "-i", saved, "--force")
    assert done.returncode == 0, done.stderr
    assert f"restored {saved} -> {desk.data}\n" in done.stdout
    assert f"the data before is kept in {desk.data}/before-restore-" in done.stdout
    assert "are undone by it" in done.stdout
    desk.start()
    assert json.loads(desk.ask("GET", "/admin/status")[1])["counts"] == before


def test_a_dry_run_of_a_restore_checks_and_changes_nothing(desk, saved, tmp_path):
    done = desk.run("restore", "--from", saved, "--dry-run", data=tmp_path / "new")
    assert (done.returncode, (tmp_path / "new").exists()) == (0, False)
    assert "1 project, 1 page, 1 session" in done.stdout
    saved.write_bytes(saved.read_bytes()[:-100])
    done = desk.run("restore", "--from", saved, "--dry-run", data=tmp_path / "new")
    assert (done.returncode, done.stdout) == (1, "")
    assert "not a whole backup" in done.stderr


def test_what_an_archive_says_of_itself_does_nothing_to_the_terminal(desk, saved, tmp_path):
    evil, escape = tmp_path / "evil.tar.gz", "2026\x1b]0;owned\x07\x1b[2J"
    with tarfile.open(saved) as old, tarfile.open(evil, "w:gz", format=tarfile.PAX_FORMAT) as new:
        for entry in old:
            content = old.extractfile(entry).read() if entry.isreg() else b""
            if entry.name == "manifest.json":
                content = json.dumps({**json.loads(content), "created": escape, "program": escape}).encode()
                digest = hashlib.sha256(content).hexdigest()
            elif entry.name == "checksums.json":
                sums = json.loads(content)
                sums["sha256"]["manifest.json"] = digest
                content = json.dumps(sums).encode()
            entry.size = len(content)
            new.addfile(entry, io.BytesIO(content))
    done = desk.run("restore", "--from", evil, "--dry-run", data=tmp_path / "new")
    assert done.returncode == 0, done.stderr
    assert "made 2026 by ai-memory 2026: 1 project" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_reset_says_what_it_would_delete_and_deletes_when_told(desk, saved):
    assert desk.run("reset", "--confirm").returncode == 3
    desk.stop()
    (desk.data / "config.toml").write_text("")
    dry = desk.run("reset")
    assert dry.returncode == 0
    assert f"would delete in {desk.data}: 1 project, 1 page, 1 session; " in dry.stdout
    assert dry.stdout.splitlines()[-1] == "nothing was changed: say it again with --confirm to do it"
    assert desk.run("reset", "--dry-run").stdout == dry.stdout
    assert desk.run("reset", "--dry-run", "--confirm").returncode == 2
    assert list((desk.data / "raw").iterdir())
    done = desk.run("reset", "--confirm")
    assert done.stdout == f"deleted{dry.stdout.splitlines()[0].removeprefix('would delete')}\n"
    assert [list((desk.data / name).iterdir()) for name in ("wiki", "raw", "db")] == [[], [], []]
    assert (desk.data / "config.toml").exists()
    assert desk.run("reset").stdout.startswith(f"would delete in {desk.data}: 0 projects, 0 pages, 0 sessions; 0 files")
    assert desk.run("restore", "--from", saved).returncode == 0
