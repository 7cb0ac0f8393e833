"""What is read of a repository for a bootstrap: on repositories made here, and on this project's own."""

import os
import subprocess
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from ai_memory.cli.bootstrap_sources import Wanted, collect, repository_root, since_day
from ai_memory.errors import BadRequestError, NotFoundError

ROOT = Path(__file__).resolve().parent.parent.parent
HEADER = '"""Keeps carts in memory until they are paid for."""\n'


def git(repo, *arguments, **options):
    name = ["-c", "user.name=Ana", "-c", "user.email=ana@example.org"]
    return subprocess.run(["git", "-C", str(repo), *name, *arguments], check=True, capture_output=True, **options)


def with_history(repo, messages):
    """Make a repository with these commits, a day apart, without a work tree."""
    git(repo.parent, "init", "-q", "-b", "main", str(repo))
    lines = []
    for number, message in enumerate(messages):
        data = message.encode()
        when = 1_700_000_000 + number * 86_400
        lines.append(
            b"commit refs/heads/main\ncommitter Ana <ana@example.org> %d +0000\ndata %d\n%s\n" % (when, len(data), data)
        )
    git(repo, "fast-import", "--quiet", input=b"".join(lines))


@pytest.fixture
def repo(tmp_path):
    repo = tmp_path / "shop"
    git(tmp_path, "init", "-q", "-b", "main", str(repo))
    return repo


def write(repo, path, text="text"):
    file = repo / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def found(repo, **wanted):
    got = collect(repo, Wanted(most_tokens=50_000, **wanted))
    assert got.collected == len(got.sources)
    return [(each.kind, each.label) for each in got.sources]


def test_every_kind_is_found_the_best_first(repo):
    for path in ("CLAUDE.md", "AGENTS.md", "README.md", "docs/b/c.md", "docs/a.md", "docs/a.txt", "notes.md"):
        write(repo, path)
    write(repo, "src/deep/cart.py", HEADER)
    write(repo, "main.go", "// Serves the shop to whoever asks for it over the wire.\npackage main\n")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "feat: carts")
    assert found(repo) == [
        ("project_rules", "rules: CLAUDE.md"),
        ("project_rules", "rules: AGENTS.md"),
        ("readme", "README (README.md)"),
        ("doc_file", "doc: docs/a.md"),
        ("doc_file", "doc: docs/b/c.md"),
        ("git_commit", "git: feat: carts"),
        ("module_header", "go: main.go"),
        ("module_header", "python: src/deep/cart.py"),
    ]
    none = {"git": False, "readme": False, "docs": False, "code": False}
    assert found(repo, **none) == [("project_rules", "rules: CLAUDE.md"), ("project_rules", "rules: AGENTS.md")]


def test_what_git_ignores_others_wrote_or_machines_made_is_not_read(repo):
    write(repo, ".gitignore", "secret.py\ndocs/drafts/\nCLAUDE.md\n")
    write(repo, "CLAUDE.md")
    for path in ("secret.py", "vendor/a.py", "a/node_modules/b.py", "target/c.py", "gen/d.py", "here.py"):
        write(repo, path, HEADER)
    for path in ("docs/drafts/a.md", "docs/vendor/a.md", "docs/a.md"):
        write(repo, path)
    git(repo, "add", "-f", "vendor", "here.py")
    assert found(repo) == [("doc_file", "doc: docs/a.md"), ("module_header", "python: here.py")]


def test_links_devices_binaries_and_huge_files_are_not_read(repo, tmp_path):
    outside = write(tmp_path, "outside/secret.md", HEADER)
    (repo / "docs").mkdir()
    for path in ("CLAUDE.md", "README.md", "docs/link.md", "link.py"):
        (repo / path).symlink_to(outside)
    (repo / "docs/folder").symlink_to(outside.parent)
    (repo / "docs/binary.md").write_bytes(b"\0\1\2")
    (repo / "docs/huge.md").write_text("x" * (256 * 1024 + 1))
    os.mkfifo(repo / "docs/pipe.md")
    git(repo, "add", "--", "CLAUDE.md", "README.md", "docs/link.md", "link.py", "docs/folder")
    assert found(repo) == []


def test_what_the_marker_keeps_from_the_memory_is_not_read(repo):
    write(repo, ".ai-memory.toml", '[capture]\nignore_paths = ["docs/private/**", "README.md", "*.go"]\n')
    for path in ("docs/private/a.md", "docs/a.md", "README.md"):
        write(repo, path)
    write(repo, "main.go", "// Serves the shop to whoever asks for it over the wire.\npackage main\n")
    assert found(repo) == [("doc_file", "doc: docs/a.md")]
    write(repo, ".ai-memory.toml", "[capture]\nignore_paths = 7\n")
    with pytest.raises(BadRequestError, match="ignore_paths must be a list"):
        found(repo)


def test_a_folder_that_became_a_link_since_it_was_committed_is_not_followed(repo, tmp_path):
    write(repo, "docs/a.md")
    git(repo, "add", ".")
    (repo / "docs").rename(tmp_path / "elsewhere")
    (repo / "docs").symlink_to(tmp_path / "elsewhere")
    assert found(repo) == []


def test_hostile_names_of_files_stay_names(repo):
    names = ["--upload-pack=x.md", "a\nb.md", "'; rm -rf .md", "\x1b[2J.md", "$(id).md", ":(glob).md"]
    for name in names:
        write(repo, f"docs/{name}")
    (repo / os.fsdecode(b"docs/\xff.md")).write_text("text")
    git(repo, "add", ".")
    labels = {label for _, label in found(repo)}
    plain = ["--upload-pack=x.md", "a b.md", "'; rm -rf .md", "?[2J.md", "$(id).md", ":(glob).md", "?.md"]
    assert labels == {f"doc: docs/{name}" for name in plain}


def test_commits_that_say_why_are_taken_newest_first_and_the_rest_is_not(tmp_path):
    why = "The partners read the table directly.\n" * 4
    with_history(
        tmp_path / "old", ["typo", "fix(cart): totals", f"Keep local times\n\n{why}", "feature flags", "perf: cache"]
    )
    got = collect(tmp_path / "old", Wanted(most_tokens=50_000)).sources
    assert [each.label for each in got] == ["git: perf: cache", "git: Keep local times", "git: fix(cart): totals"]
    oid = git(tmp_path / "old", "rev-parse", "HEAD~2").stdout.decode()[:8]
    assert got[1].text == f"{oid} Ana, 2023-11-16\nKeep local times\n\n{why.strip()}"


def test_history_since_a_day_is_all_that_is_read(tmp_path):
    with_history(tmp_path / "old", [f"fix: {n}" for n in range(5)])
    assert found(tmp_path / "old", since="2023-11-17") == [("git_commit", f"git: fix: {n}") for n in (4, 3)]


def test_a_repository_without_a_commit_has_no_history(repo):
    assert found(repo) == []


def test_a_repository_cannot_make_git_run_its_programs(repo, tmp_path):
    ran = tmp_path / "ran"
    program = write(tmp_path, "program", f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o755)
    write(repo, "docs/a.md")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "fix: a")
    for key in ("core.fsmonitor", "gpg.program", "core.pager"):
        git(repo, "config", key, str(program))
    git(repo, "config", "log.showSignature", "true")
    assert len(found(repo)) == 2
    assert not ran.exists()


def test_two_thousand_commits_are_counted_and_only_what_can_be_sent_is_kept(tmp_path):
    with_history(tmp_path / "old", [f"fix: number {n}\n\n{'because it was so ' * 20}" for n in range(2_000)])
    got = collect(tmp_path / "old", Wanted(most_tokens=5_000))
    assert got.collected == 2_000
    assert 5_000 < sum(each.tokens for each in got.sources) < 5_200
    assert got.sources[0].label == "git: fix: number 1999"


def test_this_project_says_something_of_itself():
    got = collect(repository_root(ROOT / "docs"), Wanted(most_tokens=150_000))
    kinds = Counter(each.kind for each in got.sources)
    assert kinds["readme"] == 1
    assert min(kinds["doc_file"], kinds["module_header"]) > 5
    assert ("module_header", "python: ai_memory/errors.py") in {(each.kind, each.label) for each in got.sources}


def test_a_folder_without_a_repository_says_what_git_says(tmp_path):
    with pytest.raises(NotFoundError, match="cannot be read as a repository: not a git repository"):
        repository_root(tmp_path)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("", ""),
        ("2026-01-31", "2026-01-31"),
        ("1 day ago", "2026-11-20"),
        ("90 Days  ago", "2026-08-23"),
        ("2 weeks ago", "2026-11-07"),
        ("3 months ago", "2026-08-23"),
        ("1 year ago", "2025-11-21"),
        ("999999 years ago", "1970-01-01"),
    ],
    ids=["none", "day", "one-day", "days", "weeks", "months", "year", "ages"],
)
def test_a_time_is_said_in_words_or_as_a_day(text, day):
    assert since_day(text, date(2026, 11, 21)) == day


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "--all", "-3 days ago"])
def test_a_time_that_is_none_is_refused(text):
    with pytest.raises(BadRequestError, match="is not understood"):
        since_day(text, date(2026, 11, 21))
