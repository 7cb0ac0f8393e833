import subprocess
from datetime import UTC, datetime
from uuid import UUID

import pytest

from ai_memory.errors import StorageError
from ai_memory.model.event import Scrubbed
from ai_memory.model.page import BadPagePathError
from ai_memory.model.scope import Project
from ai_memory.store.wiki import LEDGER_HEAD, Append, Wiki

PROJECT = Project(UUID(int=2), UUID(int=1), "default", "shop", "github.com/acme/shop", ("/w/shop",))
NOW = datetime(2026, 11, 20, 10, 0, 0, tzinfo=UTC)


def opened(tmp_path):
    return Wiki(tmp_path / "wiki", tmp_path / "intent.json")


@pytest.fixture
def wiki(tmp_path):
    wiki = opened(tmp_path)
    wiki.write_manifest(PROJECT, NOW)
    return wiki


def git(wiki, *arguments):
    return subprocess.run(["git", *arguments], cwd=wiki.root, capture_output=True, text=True, check=True).stdout.strip()


def page(text):
    return {"sessions/one.md": Scrubbed(text)}


def test_projects_are_rebuilt_from_the_tree_alone(wiki, tmp_path):
    assert list(opened(tmp_path).projects()) == [PROJECT]


def test_a_commit_takes_exactly_what_was_written_and_the_manifests(wiki):
    (wiki.folder(PROJECT) / "draft.md").write_text("somebody's own draft\n")
    wiki.commit(PROJECT, page("hello\n"), "session one: hello", author=("Codex", "codex@local"), at=NOW)
    prefix = f"{PROJECT.workspace_id}/{PROJECT.id}"
    who, _, *paths = git(wiki, "show", "--format=%an <%ae>|%cn|%s", "--name-only").splitlines()
    assert who == "Codex <codex@local>|ai-memory|session one: hello"
    assert sorted(paths, key=len) == [
        f"{PROJECT.workspace_id}/_meta.md",
        f"{prefix}/_meta.md",
        f"{prefix}/sessions/one.md",
    ]
    assert git(wiki, "status", "--porcelain") == f"?? {prefix}/draft.md"


def test_the_same_content_again_is_no_commit(wiki):
    wiki.commit(PROJECT, page("hello\n"), "one", at=NOW)
    assert wiki.commit(PROJECT, page("hello\n"), "two", at=NOW) == ""
    assert git(wiki, "log", "--format=%s") == "one"


def test_a_ledger_grows_with_each_commit(wiki):
    wiki.commit(PROJECT, page("1\n"), "one", appends=[Append("log-2026-11.md", Scrubbed("a\n"))], at=NOW)
    wiki.commit(PROJECT, page("2\n"), "two", appends=[Append("log-2026-11.md", Scrubbed("b\n"))], at=NOW)
    assert wiki.read(PROJECT, "log-2026-11.md") == LEDGER_HEAD + "a\nb\n"
    assert git(wiki, "status", "--porcelain") == ""


def test_a_crash_between_the_ledger_and_its_commit_leaves_no_line(wiki, tmp_path, monkeypatch):
    wiki.commit(PROJECT, page("1\n"), "one", appends=[Append("log-2026-11.md", Scrubbed("a\n"))], at=NOW)

    class Crash(BaseException):
        pass

    def crash(*_, **__):
        raise Crash

    monkeypatch.setattr(wiki.git, "commit", crash)
    with pytest.raises(Crash):
        wiki.commit(PROJECT, page("2\n"), "two", appends=[Append("log-2026-11.md", Scrubbed("b\n"))], at=NOW)
    assert opened(tmp_path).read(PROJECT, "log-2026-11.md") == LEDGER_HEAD + "a\n"


def test_a_crash_after_the_commit_keeps_its_line(wiki, tmp_path, monkeypatch):
    class Crash(BaseException):
        pass

    commit = wiki.git.commit

    def crash(*arguments, **more):
        commit(*arguments, **more)
        raise Crash

    monkeypatch.setattr(wiki.git, "commit", crash)
    with pytest.raises(Crash):
        wiki.commit(PROJECT, page("1\n"), "one", appends=[Append("log-2026-11.md", Scrubbed("a\n"))], at=NOW)
    assert opened(tmp_path).read(PROJECT, "log-2026-11.md") == LEDGER_HEAD + "a\n"


def test_the_lock_of_a_git_that_was_killed_does_not_stop_the_next_server(wiki, tmp_path):
    wiki.commit(PROJECT, page("1\n"), "one", at=NOW)
    for name in ("index.lock", "refs/heads/main.lock"):
        (wiki.root / ".git" / name).touch()
    again = opened(tmp_path)
    assert again.commit(PROJECT, page("2\n"), "two", at=NOW)


def test_what_a_failed_commit_has_staged_is_not_in_the_next_one(wiki):
    wiki.commit(PROJECT, page("1\n"), "one", at=NOW)
    lock = wiki.root / ".git" / "refs" / "heads" / "main.lock"
    lock.touch()
    with pytest.raises(StorageError, match="git update-ref failed"):
        wiki.commit(PROJECT, page("2\n"), "two", at=NOW)
    lock.unlink()
    wiki.commit(PROJECT, {"sessions/other.md": Scrubbed("x\n")}, "three", at=NOW)
    changed = git(wiki, "show", "--format=", "--name-only").splitlines()
    assert changed == [f"{PROJECT.workspace_id}/{PROJECT.id}/sessions/other.md"]


def test_a_folder_that_is_none_of_ours_does_not_stop_the_start(wiki, tmp_path):
    strange = wiki.root / "my notes"
    strange.mkdir()
    (strange / "_meta.md").write_text("---\nname: x\n---\n")
    assert list(opened(tmp_path).projects()) == [PROJECT]


def test_a_commit_that_git_refuses_takes_the_ledger_back(wiki):
    wiki.commit(PROJECT, page("1\n"), "one", appends=[Append("log-2026-11.md", Scrubbed("a\n"))], at=NOW)
    (wiki.root / ".git" / "index.lock").touch()
    with pytest.raises(StorageError, match=r"git update-index failed: .*index\.lock"):
        wiki.commit(PROJECT, page("2\n"), "two", appends=[Append("log-2026-11.md", Scrubbed("b\n"))], at=NOW)
    assert wiki.read(PROJECT, "log-2026-11.md") == LEDGER_HEAD + "a\n"


@pytest.mark.parametrize(
    "path", ["../x.md", "/x.md", "a//b.md", "a/./b.md", "con.md", "a\\b.md", "x.md ", ".git/config", ""]
)
def test_a_page_path_that_escapes_or_is_not_portable_is_refused(wiki, path):
    with pytest.raises(BadPagePathError):
        wiki.write(PROJECT, {path: Scrubbed("x")})


def test_a_git_hooks_environment_does_not_lead_the_wiki_astray(wiki, tmp_path, monkeypatch):
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    for name, value in (
        ("GIT_DIR", other / ".git"),
        ("GIT_WORK_TREE", other),
        ("GIT_INDEX_FILE", other / ".git" / "index"),
        ("GIT_OBJECT_DIRECTORY", other / ".git" / "objects"),
        ("GIT_AUTHOR_NAME", "Somebody"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "commit.gpgsign"),
        ("GIT_CONFIG_VALUE_0", "true"),
    ):
        monkeypatch.setenv(name, str(value))
    wiki.commit(PROJECT, page("hello\n"), "one", at=NOW)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.delenv(name)
    assert git(wiki, "log", "--format=%an: %s") == "ai-memory: one"
    assert list((other / ".git" / "objects").rglob("??/*")) == []


def test_paths_and_messages_are_never_read_as_options(wiki):
    wiki.commit(PROJECT, {"--help.md": Scrubbed("x\n")}, "--amend", at=NOW)
    assert git(wiki, "log", "--format=%s") == "--amend"
