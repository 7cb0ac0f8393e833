import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def where(free_port):
    def ask(directory, *arguments):
        env = {**os.environ, "AI_MEMORY_SERVER_URL": f"http://127.0.0.1:{free_port}"}
        done = subprocess.run(
            [sys.executable, "-m", "ai_memory", "where", str(directory), *arguments],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert "Traceback" not in done.stderr
        return done

    return ask


def told(done):
    answer = json.loads(done.stdout)
    return answer.get("workspace"), answer["project"], answer["resolved_by"]


def test_a_plain_directory_is_named_after_itself(where, own_home):
    (own_home / "src" / "Shop").mkdir(parents=True)
    assert told(where(own_home / "src" / "Shop", "--json")) == ("default", "Shop", "name")


def test_a_repository_is_known_by_its_remote_from_any_folder_and_worktree(where, own_home):
    repo = own_home / "shop"
    for command in (
        ["init", "-q", str(repo)],
        ["-C", str(repo), "remote", "add", "origin", "git@github.com:Acme/Shop.git"],
    ):
        subprocess.run(["git", *command], check=True)
    (repo / "api").mkdir()
    answer = json.loads(where(repo / "api", "--json").stdout)
    assert (answer["identity"], answer["project"], answer["resolved_by"]) == (
        "github.com/acme/shop",
        "shop",
        "git-remote",
    )


def test_a_marker_decides(where, own_home):
    (own_home / "work" / "deep").mkdir(parents=True)
    (own_home / "work" / ".ai-memory.toml").write_text('workspace = "team"\nproject = "shop"\n')
    assert told(where(own_home / "work" / "deep", "--json")) == ("team", "shop", "marker")


def test_the_home_directory_is_no_project(where, own_home):
    done = where(own_home)
    assert done.returncode == 0
    assert "nothing is recorded here" in done.stdout


def test_a_marker_with_a_bad_key_is_named_with_what_to_do(where, own_home):
    (own_home / "work").mkdir()
    (own_home / "work" / ".ai-memory.toml").write_text('projekt = "shop"\n')
    done = where(own_home / "work")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "projekt" in done.stderr
    assert ".ai-memory.toml" in done.stderr
