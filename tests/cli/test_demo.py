import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def run(*arguments, **env):
    return subprocess.run(
        [sys.executable, "-m", "ai_memory", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **env},
    )


def test_the_demo_shows_each_step_on_80_columns_and_leaves_nothing(own_home, tmp_path):
    done = run("demo", TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split("─")[2].strip() for line in done.stdout.splitlines() if line.startswith("──")] == [
        "1  Claude Code works in ~/shop",
        "2  The session became a page, in git",
        "3  What the server says",
        "4  Codex starts in the same directory; its model is told",
        "5  What should last is written down, as pages that link to each other",
    ]
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert [path for path in own_home.rglob("*") if path.is_file()] == []


def test_the_demo_fails_when_a_step_is_not_seen(tmp_path):
    # Without git there is no wiki: the server cannot start.
    empty = tmp_path / "bin"
    empty.mkdir()
    (empty / "sh").symlink_to("/bin/sh")
    done = run("demo", TMPDIR=str(tmp_path), PATH=str(empty))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_keep_leaves_a_server_that_works_and_says_how_to_end_it(tmp_path):
    done = run("demo", "--keep", TMPDIR=str(tmp_path))
    assert done.returncode == 0
    pid = int(re.search(r"kill (\d+) && rm -r", done.stdout)[1])
    try:
        url, data = re.search(r"AI_MEMORY_SERVER_URL=(\S+) ai-memory --data-dir (\S+) status", done.stdout).groups()
        status = run("--data-dir", data, "status", AI_MEMORY_SERVER_URL=url)
        assert status.returncode == 0
    finally:
        os.kill(pid, 15)
