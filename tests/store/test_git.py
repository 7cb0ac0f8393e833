import os
import subprocess
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.errors import NotFoundError
from ai_memory.store.git import Change, Commit, Git, GitError, blob_of

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
ODD = [
    "two words.md",
    'a "quote".md',
    "line\nbreak.md",
    "tab\there.md",
    "ümläut.md",
    "[a]*.md",
    "back\\slash.md",
    "-n.md",
]


@pytest.fixture
def repo(tmp_path):
    return Git(tmp_path / "wiki")


def run(repo, *arguments, **more):
    return subprocess.run(
        ["git", *arguments], cwd=repo.root, capture_output=True, text=True, check=True, **more
    ).stdout.strip()


def write(repo, files):
    for path, text in files.items():
        file = repo.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def commit(repo, files, subject="a commit", at=NOON, **more):
    """Write files (None deletes one) and commit them."""
    write(repo, {path: text for path, text in files.items() if text is not None})
    for path in [path for path, text in files.items() if text is None]:
        (repo.root / path).unlink()
    return repo.commit(list(files), subject, at=at, **more)


def person(repo):
    run(repo, "config", "user.name", "Ann")
    run(repo, "config", "user.email", "ann@x.org")


def merged(repo):
    """Give a history like that of `git pull`: ours, theirs, and the merge."""
    base = commit(repo, {"a.md": "1\n"}, "base")
    person(repo)
    run(repo, "checkout", "-q", "-b", "side")
    theirs = commit(repo, {"b.md": "1\n"}, "theirs", NOON + timedelta(minutes=1))
    run(repo, "checkout", "-q", "main")
    ours = commit(repo, {"a.md": "2\n"}, "ours", NOON + timedelta(minutes=2))
    run(repo, "merge", "-q", "--no-ff", "-m", "Merge branch 'side'", "side")
    return base, theirs, ours, repo.head()


# Commits


def test_a_commit_carries_its_date_author_and_changes(repo):
    oid = commit(repo, {"x/a.md": "1\n"}, "one: two", author=("Käthe", "k@x.org"))
    assert list(repo.commits()) == [
        Commit(oid, NOON, ("Käthe", "k@x.org"), "one: two", (Change("x/a.md", blob_of(b"1\n")),))
    ]
    assert run(repo, "show", "-s", "--format=%ad|%cd", "--date=iso-strict") == "|".join(
        ["2026-11-20T12:00:00+00:00"] * 2
    )


def test_commits_come_parents_first_and_only_those_that_are_new(repo):
    first, second, third = (commit(repo, {"a.md": f"{n}\n"}, f"c{n}") for n in range(3))
    assert [c.oid for c in repo.commits()] == [first, second, third]
    assert [c.oid for c in repo.chain()] == [first, second, third]
    assert [c.oid for c in repo.chain(first)] == [second, third]
    assert list(repo.chain(third)) == []
    assert [c.oid for c in repo.recent(2)] == [third, second]


def test_an_empty_repository_has_no_past(repo):
    assert (list(repo.commits()), list(repo.chain()), repo.recent(5), repo.head()) == ([], [], [], "")
    with pytest.raises(NotFoundError):
        repo.resolve("HEAD")


def test_commits_since_one_that_is_not_there_is_an_error(repo):
    commit(repo, {"a.md": "1\n"})
    with pytest.raises(NotFoundError, match="no revision"):
        list(repo.chain("0" * 39 + "1"))


def test_a_merge_is_shown_against_its_first_parent(repo):
    base, theirs, ours, merge = merged(repo)
    past = {c.oid: c for c in repo.commits()}
    assert [*past][::3] == [base, merge]
    assert {*past} == {base, theirs, ours, merge}
    assert past[merge].changes == (Change("b.md", blob_of(b"1\n")),)
    assert past[merge].author == ("Ann", "ann@x.org")


def test_the_chain_of_first_parents_passes_merged_commits_by(repo):
    base, theirs, ours, merge = merged(repo)
    assert list(repo.chain()) == [c for c in repo.commits() if c.oid != theirs]
    assert [c.oid for c in repo.chain(ours)] == [merge]
    assert [c.oid for c in repo.chain(theirs)] == [ours, merge]
    run(repo, "checkout", "-q", "-B", "main", theirs)
    run(repo, "merge", "-q", "--no-ff", "-m", "the other way round", ours)
    assert [c.oid for c in repo.chain(ours)] == [theirs, repo.head()]
    assert [c.oid for c in repo.chain()] == [base, theirs, repo.head()]


def test_the_commit_that_made_a_file_what_it_is_at_a_revision_is_found(repo):
    base, theirs, ours, merge = merged(repo)
    gone = commit(repo, {"[b].md": "1\n", "b.md": None}, "gone")
    found = {
        (path, at): (made := repo.changed(path, at)) and made.oid
        for path, at in [("a.md", gone), ("a.md", theirs), ("b.md", merge), ("b.md", gone), ("b.md", ours), ("x", gone)]
    }
    assert list(found.values()) == [ours, base, theirs, gone, None, None]


def test_deletes_and_empty_commits_are_seen(repo):
    commit(repo, {"a.md": "1\n", "b.md": "1\n"}, "both")
    commit(repo, {"a.md": None}, "less")
    person(repo)
    run(repo, "commit", "-q", "--allow-empty", "-m", "nothing")
    assert [(c.subject, c.changes) for c in repo.commits()][1:] == [("less", (Change("a.md", ""),)), ("nothing", ())]


def test_any_file_name_survives(repo):
    commit(repo, dict.fromkeys(ODD, "x\n"))
    assert {change.path for change in repo.recent(1)[0].changes} == set(ODD)
    assert set(repo.tree("HEAD")) == set(ODD)
    assert repo.dirty() == set()
    commit(repo, dict.fromkeys(ODD))
    assert repo.recent(1)[0].changes == tuple(Change(path, "") for path in sorted(ODD))


def test_a_name_that_is_no_utf8_survives(repo):
    path = os.fsdecode(b"caf\xe9.md")
    commit(repo, {path: "x\n"})
    assert repo.recent(1)[0].changes == (Change(path, blob_of(b"x\n")),)
    assert repo.tree("HEAD") == {path: blob_of(b"x\n")}


def test_20000_paths_are_one_commit(repo):
    files = {f"folder-{n % 100}/a rather long name of a page {n}.md": f"{n}\n" for n in range(20_000)}
    commit(repo, files)
    assert len(repo.recent(1)[0].changes) == len(repo.tree("HEAD")) == 20_000
    commit(repo, dict.fromkeys(files))
    assert repo.tree("HEAD") == {}


def test_a_file_takes_the_place_of_a_folder_and_back(repo):
    commit(repo, {"a/b.md": "1\n"})
    (repo.root / "a" / "b.md").unlink()
    (repo.root / "a").rmdir()
    assert commit(repo, {"a": "file\n"})
    (repo.root / "a").unlink()
    assert commit(repo, {"a/b.md": "2\n"})
    assert set(repo.tree("HEAD")) == {"a/b.md"}


def test_a_long_message_and_half_a_surrogate_are_no_obstacle(repo):
    commit(repo, {"a.md": "1\n"}, "subject \ud83d\n\n" + "body\n" * 50_000)
    assert repo.recent(1)[0].subject == "subject ?"


def test_an_impossible_date_is_read_as_the_last_possible_one(repo):
    tree = run(repo, "mktree", input="")
    text = f"tree {tree}\nauthor A <a@x> 99999999999999 +0000\ncommitter A <a@x> 99999999999999 +0000\n\nfuture\n"
    run(repo, "update-ref", "HEAD", run(repo, "hash-object", "-t", "commit", "-w", "--stdin", input=text))
    assert repo.recent(1)[0].at == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_what_others_configured_does_not_change_the_reading(repo, own_home):
    commit(repo, {"ä.md": "1\n"}, "one")
    for key, value in (
        ("log.showRoot", "false"),
        ("diff.renames", "copies"),
        ("core.quotePath", "true"),
        ("log.showSignature", "true"),
        ("diff.noprefix", "true"),
        ("color.ui", "always"),
        ("diff.context", "0"),
    ):
        run(repo, "config", key, value)
    (repo.root / "ä.md").rename(repo.root / "ö.md")
    repo.commit(["ä.md", "ö.md"], "two", at=NOON)
    blob = blob_of(b"1\n")
    changes = [(Change("ä.md", blob),), (Change("ä.md", ""), Change("ö.md", blob))]
    assert [c.changes for c in repo.commits()] == changes
    assert repo.diff(b"a\nb\n", b"a\nc\n", "x", "y") == "--- x\n+++ y\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"


def test_the_users_own_attributes_and_ignores_are_not_used(repo, own_home):
    folder = own_home / ".config" / "git"
    folder.mkdir(parents=True)
    (folder / "attributes").write_text("*.md text eol=crlf\n")
    (folder / "ignore").write_text("*.md\n")
    (repo.root / "a.md").write_bytes(b"1\r\n")
    assert repo.dirty() == {"a.md"}
    repo.commit(["a.md"], "one")
    assert repo.tree("HEAD") == {"a.md": blob_of(b"1\r\n")}


def test_a_reader_may_leave_early(repo):
    for n in range(5):
        commit(repo, {"a.md": f"{n}\n"})
    commits, blobs = repo.commits(), repo.blobs([blob_of(b"1\n")] * 1000)
    assert next(commits).subject == "a commit"
    assert next(blobs)[1] == b"1\n"
    commits.close()
    blobs.close()


@pytest.mark.parametrize("where", [["checkout", "-q", "--detach"], ["checkout", "-q", "-b", "other/branch"]])
def test_commits_go_where_head_is(repo, tmp_path, where):
    first = commit(repo, {"a.md": "1\n"})
    run(repo, *where)
    (repo.root / ".git" / "refs" / "heads" / "other").mkdir(exist_ok=True)
    (repo.root / ".git" / "refs" / "heads" / "other" / "branch.lock").touch()
    repo = Git(tmp_path / "wiki")
    second = commit(repo, {"a.md": "2\n"})
    assert (repo.head(), [c.oid for c in repo.commits()]) == (second, [first, second])
    assert repo.resolve("main") == first


def test_history_is_read_in_bounded_memory(repo):
    stream = "".join(
        f"commit refs/heads/main\nauthor A <a@x> {1_700_000_000 + n} +0000\ncommitter A <a@x> {1_700_000_000 + n} +0000\n"
        f"data 6\nnumber\nM 644 inline {n % 50}.md\ndata 5\n{n:05}\n"
        for n in range(20_000)
    )
    run(repo, "fast-import", "--quiet", input=stream)
    tracemalloc.start()
    count = sum(len(c.changes) for c in repo.commits())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 2_000_000


# Moves and whole folders


def test_a_folder_moves_in_the_index_alone_and_again_is_nothing(repo):
    commit(repo, {"old/a b.md": "1\n", "old/x/ü\n.md": "2\n", "older/c.md": "3\n"})
    before = repo.tree("HEAD", "old")
    for _ in range(2):
        repo.move("old", "new/place")
        staged = run(repo, "-c", "core.quotePath=false", "ls-files", "-z").strip("\0").split("\0")
        assert staged == ["new/place/a b.md", "new/place/x/ü\n.md", "older/c.md"]
    (repo.root / "new").mkdir()
    (repo.root / "old").rename(repo.root / "new" / "place")
    repo.commit(["new/place/a b.md", "new/place/x/ü\n.md"], "move", at=NOON)
    after = repo.tree("HEAD", "new/place")
    assert after == {path.replace("old/", "new/place/", 1): blob for path, blob in before.items()}
    assert (repo.tree("HEAD", "old"), repo.dirty()) == ({}, set())


def test_unstaging_takes_names_literally_and_many(repo):
    commit(repo, {"a1.md": "1\n"})
    write(repo, {"a1.md": "2\n", "a[1].md": "2\n"} | {f"n{n}.md": "x\n" for n in range(5000)})
    run(repo, "add", "-A")
    repo.unstage(["a[1].md", *(f"n{n}.md" for n in range(5000))])
    assert run(repo, "diff", "--cached", "--name-only") == "a1.md"


# Revisions


def test_a_revision_is_resolved_in_every_spelling(repo):
    first, second = commit(repo, {"a.md": "1\n"}), commit(repo, {"a.md": "2\n"})
    spellings = {first: [first, first[:7], "HEAD~1", "main^"], second: [second, "HEAD", "main", "@", "HEAD~0"]}
    assert {oid: {repo.resolve(s) for s in all_} for oid, all_ in spellings.items()} == {
        first: {first},
        second: {second},
    }


@pytest.mark.parametrize(
    "revision",
    [
        "",
        "-1",
        "--all",
        "--help",
        "^HEAD",
        "HEAD..HEAD",
        "nowhere",
        "HEAD~99",
        "HEAD:a.md",
        "a\0b",
        "a\nb",
        "\ud83d",
        "0" * 40,
    ],
)
def test_what_is_no_commit_is_not_found(repo, revision):
    commit(repo, {"a.md": "1\n"})
    with pytest.raises(NotFoundError, match="no revision"):
        repo.resolve(revision)


@given(revision=st.text(max_size=12))
def test_any_text_is_a_revision_or_is_not_found(tmp_path_factory, revision):
    repo = Git(tmp_path_factory.getbasetemp() / "any-text")
    with pytest.raises(NotFoundError):
        repo.resolve(revision)


def test_a_tree_is_listed_below_a_folder(repo):
    first = commit(repo, {"a/b/c.md": "1\n", "a/d.md": "2\n", "ab/e.md": "3\n"})
    commit(repo, {"a/d.md": None})
    assert repo.tree(first, "a") == {"a/b/c.md": blob_of(b"1\n"), "a/d.md": blob_of(b"2\n")}
    assert repo.tree("HEAD", "a/") == {"a/b/c.md": blob_of(b"1\n")}
    assert repo.tree("HEAD", "nowhere") == {}
    with pytest.raises(NotFoundError):
        repo.tree("nowhere")


# Contents


def test_contents_are_read_in_the_order_asked_and_missing_ones_left_out(repo):
    texts = [f"{n}\n" * (n + 1) for n in range(300)] + ["", "no newline", "x" * 1_000_000]
    commit(repo, {f"{n}.md": text for n, text in enumerate(texts)})
    wanted = [blob_of(text.encode()) for text in texts]
    asked = [oid for known in wanted for oid in (known, "1" * 40)]
    assert list(repo.blobs(iter(asked))) == [(oid, text.encode()) for oid, text in zip(wanted, texts, strict=True)]
    assert list(repo.blobs([])) == []
    assert repo.blob(wanted[-1]) == b"x" * 1_000_000


@pytest.mark.parametrize("oid", ["", "1" * 40, "HEAD", "-x", "HEAD:a.md"])
def test_a_content_that_is_not_there_is_not_found(repo, oid):
    commit(repo, {"a.md": "1\n"})
    with pytest.raises(NotFoundError, match="no content"):
        repo.blob(oid)
    with pytest.raises(NotFoundError):
        repo.blob(repo.head())


def test_a_damaged_object_is_named(repo):
    commit(repo, {"a.md": "1\n"})
    oid = blob_of(b"1\n")
    file = repo.root / ".git" / "objects" / oid[:2] / oid[2:]
    file.chmod(0o600)
    file.write_bytes(b"damaged")
    with pytest.raises((GitError, NotFoundError), match=oid):
        repo.blob(oid)


def test_a_difference_is_a_unified_diff(repo):
    old = "".join(f"{n}\n" for n in range(20)).encode()
    new = old.replace(b"10\n", "zehn ü\n".encode())
    text = repo.diff(old, new, "a.md (then)", "a.md (now)")
    assert text.splitlines()[:3] == ["--- a.md (then)", "+++ a.md (now)", "@@ -8,7 +8,7 @@"]
    assert [line for line in text.splitlines()[3:] if line[0] != " "] == ["-10", "+zehn ü"]
    assert repo.diff(old, old, "a", "b") == ""
    assert repo.diff(b"", b"x", "a", "b") == "--- a\n+++ b\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n"
    assert "-a\0" in repo.diff(b"a\0\n", b"b\n", "a", "b")
    assert list((repo.root / ".git").glob("ai-memory-diff.*")) == []


@given(content=st.binary(max_size=2000))
def test_the_blob_id_is_gits(tmp_path_factory, content):
    done = subprocess.run(["git", "hash-object", "--stdin"], input=content, capture_output=True, check=True)
    assert blob_of(content) == done.stdout.decode().strip()


# Start


def test_what_a_killed_git_left_is_gone_at_the_start(repo, tmp_path):
    commit(repo, {"a.md": "1\n"})
    left = ["index.lock", "packed-refs.lock", "packed-refs.new", "gc.pid.lock", "refs/heads/main.lock"]
    for name in left:
        (repo.root / ".git" / name).touch()
    (repo.root / ".git" / "ai-memory-diff.x").mkdir()
    again = Git(tmp_path / "wiki")
    assert [name for name in [*left, "ai-memory-diff.x"] if (repo.root / ".git" / name).exists()] == []
    assert commit(again, {"a.md": "2\n"})
