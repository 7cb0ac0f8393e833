import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_memory.store.git import Git, GitError, blob_of
from ai_memory.store.steps import Step

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
CANARY = "canary-7b1f"
STEPS = [step for step in Step if step.startswith("rewrite:")]


def run(repo, *arguments, check=True, **more):
    more.setdefault("text", True)
    done = subprocess.run(["git", *arguments], cwd=repo.root, capture_output=True, check=check, **more)
    return done.stdout.strip()


def write(repo, files):
    for path, text in files.items():
        file = repo.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            file.unlink()
        else:
            file.write_text(text)


class Clock:
    """Each commit is a minute after the one before."""

    def __init__(self):
        self.now = NOON

    def tick(self):
        self.now += timedelta(minutes=1)
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def repo(tmp_path):
    repo = Git(tmp_path / "wiki")
    run(repo, "config", "user.name", "Ann")
    run(repo, "config", "user.email", "ann@x.org")
    return repo


def commit(repo, clock, files, subject="a commit", **more):
    write(repo, files)
    return repo.commit(list(files), subject, at=clock.tick(), **more)


def gone(path):
    return path.startswith("secret/")


def edited(path):
    return path.endswith("_meta.md")


def edit(path, content):
    return b"".join(line for line in content.splitlines(keepends=True) if CANARY.encode() not in line)


def message(text):
    return text.replace(CANARY, "(purged)")


def rewrite(repo):
    return repo.rewrite(gone, edit, edited, message)


def contents(repo):
    """Everything that the object store holds, unpacked."""
    return subprocess.run(
        ["git", "cat-file", "--batch-all-objects", "--batch", "--unordered"],
        cwd=repo.root,
        capture_output=True,
        check=True,
    ).stdout


def canaries(repo):
    """Where the canary still is: objects, and every other file of the repository."""
    found = ["objects"] if CANARY.encode() in contents(repo) else []
    for file in sorted((repo.root / ".git").rglob("*")):
        if file.is_file() and (CANARY.encode() in file.read_bytes() or CANARY in file.name):
            found.append(str(file.relative_to(repo.root)))
    return found


def is_clean(repo):
    """The canary is nowhere, nothing is unreachable, and git has no complaint."""
    assert canaries(repo) == []
    assert run(repo, "fsck", "--strict", "--full", "--unreachable", "--no-progress") == ""
    assert run(repo, "reflog", "--all") == ""
    return True


def story(repo, *which):
    """Subject, author, dates and files of each commit, oldest first."""
    return [(c.subject, c.author, c.at, c.changes) for c in repo.commits()]


def planted(repo, clock):
    """A repository with the canary in every place that we know of."""
    commit(repo, clock, {"pages/a.md": "one\n", "_meta.md": "name\n"}, "first")
    commit(repo, clock, {'secret/s p\n"ü".md': f"{CANARY}\n", "pages/a.md": "two\n"}, f"second {CANARY}")
    commit(repo, clock, {"_meta.md": f"name\n- {CANARY}\n"}, "third")
    run(repo, "tag", "-a", "v1", "-m", f"tag of {CANARY}")
    run(repo, "tag", "-a", "v2", "-m", "tag of a tag", "v1")
    run(repo, "tag", "light")
    run(repo, "update-ref", "refs/blobs/one", blob_of(f"{CANARY}\n".encode()))
    run(repo, "checkout", "-q", "-b", "side")
    commit(repo, clock, {"secret/side.md": f"{CANARY} side\n"}, "only secrets")
    commit(repo, clock, {"pages/b ä.md": "side\n", "secret/side.md": None}, "beside", author=("Bob", "bob@x"))
    run(repo, "checkout", "-q", "main")
    commit(repo, clock, {"_meta.md": f"name\n- {CANARY}\nmore\n"}, "fourth")
    run(repo, "merge", "-q", "--no-ff", "-m", f"Merge {CANARY}", "side")
    run(repo, "gc", "-q")
    for pack in (repo.root / ".git" / "objects" / "pack").glob("*.pack"):
        pack.with_suffix(".keep").touch()
    commit(repo, clock, {"pages/a.md": "three\n"}, "last", author=("Cäcilie", "c@x"))
    write(repo, {"pages/a.md": f"{CANARY} stashed\n"})
    run(repo, "stash", "-q")
    write(repo, {"draft.md": f"{CANARY} staged\n"})
    run(repo, "add", "draft.md")
    (repo.root / ".git" / "COMMIT_EDITMSG").write_text(CANARY)
    (repo.root / ".git" / "MERGE_MSG").write_text(CANARY)
    (repo.root / ".git" / "rr-cache" / "0").mkdir(parents=True)
    (repo.root / ".git" / "rr-cache" / "0" / "preimage").write_text(CANARY)
    (repo.root / ".git" / "objects" / "pack" / "tmp_pack_x").write_text(CANARY)
    (repo.root / ".git" / "objects" / "pack" / ".tmp-1-pack-x.pack").write_text(CANARY)
    run(repo, "update-ref", "refs/remotes/origin/main", "HEAD~1")
    run(repo, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")


def test_the_canary_is_nowhere_and_everything_else_is_as_it_was(repo, clock):
    planted(repo, clock)
    assert len(canaries(repo)) > 5
    first = next(repo.commits()).oid
    disk = {path: path.read_text() for path in repo.root.glob("**/*.md")}
    assert rewrite(repo) == 6
    assert is_clean(repo)
    ours = ("ai-memory", "ai-memory@local")
    past = list(repo.commits())
    assert past[0].oid == first
    at = {c.subject: (c.author, c.at, {change.path: change.blob for change in c.changes}) for c in past}
    merge = at.pop("Merge (purged)")
    assert (merge[0], merge[2]) == (("Ann", "ann@x.org"), {"pages/b ä.md": blob_of(b"side\n")})
    minute = timedelta(minutes=1)
    assert at == {
        "first": (ours, NOON + minute, {"_meta.md": blob_of(b"name\n"), "pages/a.md": blob_of(b"one\n")}),
        "second (purged)": (ours, NOON + 2 * minute, {"pages/a.md": blob_of(b"two\n")}),
        "beside": (("Bob", "bob@x"), NOON + 5 * minute, {"pages/b ä.md": blob_of(b"side\n")}),
        "fourth": (ours, NOON + 6 * minute, {"_meta.md": blob_of(b"name\nmore\n")}),
        "last": (("Cäcilie", "c@x"), NOON + 7 * minute, {"pages/a.md": blob_of(b"three\n")}),
    }
    assert run(repo, "rev-list", "--parents", "-1", "HEAD~1").split()[1:] == [
        repo.resolve("HEAD~2"),
        repo.resolve("side"),
    ]
    assert run(repo, "tag", "-n1").splitlines() == [
        "light           second (purged)",
        "v1              tag of (purged)",
        "v2              tag of a tag",
    ]
    assert {repo.resolve(name) for name in ("v1", "v2", "light")} == {repo.resolve("HEAD~3")}
    assert run(repo, "for-each-ref", "--format=%(refname)").splitlines() == [
        "refs/heads/main",
        "refs/heads/side",
        "refs/remotes/origin/HEAD",
        "refs/remotes/origin/main",
        "refs/tags/light",
        "refs/tags/v1",
        "refs/tags/v2",
    ]
    assert repo.resolve("refs/remotes/origin/HEAD") == repo.resolve("HEAD~1")
    assert {path: path.read_text() for path in repo.root.glob("**/*.md")} == disk
    assert repo.dirty() == {"_meta.md", "draft.md", 'secret/s p\n"ü".md'}
    assert repo.tree("HEAD") == {
        "_meta.md": blob_of(b"name\nmore\n"),
        "pages/a.md": blob_of(b"three\n"),
        "pages/b ä.md": blob_of(b"side\n"),
    }


def test_again_is_nothing(repo, clock):
    planted(repo, clock)
    rewrite(repo)
    before = run(repo, "show-ref")
    assert rewrite(repo) == 0
    assert run(repo, "show-ref") == before
    assert is_clean(repo)


CHILD = """
import os, signal, sys
sys.path.insert(0, sys.argv[4])
from pathlib import Path
from ai_memory.store import steps
from ai_memory.store.git import Git
import test_git_rewrite as t
left = int(sys.argv[3])
def die():
    os.kill(os.getpid(), signal.SIGKILL)
steps.listen(lambda step: die() if step == sys.argv[2] else None)
def message(text):
    global left
    left -= 1
    if left == 0:
        die()
    return t.message(text)
Git(Path(sys.argv[1])).rewrite(t.gone, t.edit, t.edited, message)
"""


def killed(repo, step, calls=0):
    here = Path(__file__).resolve().parent
    command = [sys.executable, "-c", CHILD, str(repo.root), step, str(calls), str(here)]
    environment = {**os.environ, "PYTHONPATH": str(here.parent.parent)}
    return subprocess.run(command, capture_output=True, env=environment).returncode


@pytest.fixture
def whole(tmp_path, clock):
    """What an undisturbed rewrite makes of the planted repository."""
    repo = Git(tmp_path / "whole")
    run(repo, "config", "user.name", "Ann")
    run(repo, "config", "user.email", "ann@x.org")
    planted(repo, clock)
    subprocess.run(["cp", "-a", str(repo.root), str(tmp_path / "wiki")], check=True)
    rewrite(repo)
    return run(repo, "show-ref", "--head")


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_and_again_is_the_same(whole, tmp_path, step):
    repo = Git(tmp_path / "wiki")
    assert killed(repo, step) == -signal.SIGKILL
    repo = Git(tmp_path / "wiki")
    rewrite(repo)
    assert run(repo, "show-ref", "--head") == whole
    assert is_clean(repo)


@pytest.mark.parametrize("calls", [1, 4, 8])
def test_a_kill_in_the_middle_of_the_stream_changes_nothing_and_again_is_the_same(whole, tmp_path, calls):
    repo = Git(tmp_path / "wiki")
    before = run(repo, "show-ref", "--head")
    assert killed(repo, "", calls) == -signal.SIGKILL
    assert run(repo, "show-ref", "--head") == before
    rewrite(Git(tmp_path / "wiki"))
    assert run(repo, "show-ref", "--head") == whole
    assert is_clean(repo)


def test_an_edit_that_fails_changes_nothing_and_is_heard(repo, clock):
    planted(repo, clock)
    before = run(repo, "show-ref", "--head")

    def broken(path, content):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        repo.rewrite(gone, broken, edited, message)
    assert run(repo, "show-ref", "--head") == before
    assert rewrite(repo) == 6


def test_commits_that_became_empty_go_and_those_that_were_empty_stay(repo, clock):
    commit(repo, clock, {"secret/root.md": "x\n"}, "a root of secrets")
    run(repo, "commit", "-q", "--allow-empty", "-m", "always empty")
    commit(repo, clock, {"secret/more.md": "x\n"}, "secrets")
    commit(repo, clock, {"a.md": "1\n", "secret/more.md": None}, "page")
    commit(repo, clock, {"secret/root.md": None}, "last secret")
    assert rewrite(repo) == 4
    assert [(c.subject, [change.path for change in c.changes]) for c in repo.commits()] == [
        ("always empty", []),
        ("page", ["a.md"]),
    ]
    assert is_clean(repo)


def test_a_history_of_secrets_alone_leaves_an_empty_repository(repo, clock):
    commit(repo, clock, {"secret/a.md": f"{CANARY}\n"})
    assert rewrite(repo) == 1
    assert (repo.head(), list(repo.commits())) == ("", [])
    assert is_clean(repo)
    assert rewrite(repo) == 0
    assert commit(repo, clock, {"a.md": "1\n"})
    assert set(repo.tree("HEAD")) == {"a.md"}


def test_a_repository_without_a_commit_is_fine(repo):
    assert rewrite(repo) == 0


def test_a_pull_that_brought_secrets_alone_leaves_no_merge(repo, clock):
    commit(repo, clock, {"a.md": "1\n"}, "base")
    run(repo, "checkout", "-q", "-b", "side")
    commit(repo, clock, {"secret/a.md": f"{CANARY}\n"}, "theirs")
    run(repo, "checkout", "-q", "main")
    ours = commit(repo, clock, {"a.md": "2\n"}, "ours")
    run(repo, "merge", "-q", "--no-ff", "-m", "merge", "side")
    assert rewrite(repo) == 2
    assert (repo.head(), repo.resolve("side")) == (ours, repo.resolve("main~1"))
    assert is_clean(repo)


def test_a_page_that_became_a_folder_is_right(repo, clock):
    commit(repo, clock, {"p": "file\n", "secret/x.md": f"{CANARY}\n"})
    (repo.root / "p").unlink()
    commit(repo, clock, {"p/a.md": "1\n"})
    (repo.root / "p" / "a.md").unlink()
    (repo.root / "p").rmdir()
    commit(repo, clock, {"p": "file again\n"})
    rewrite(repo)
    assert [set(repo.tree(c.oid)) for c in repo.commits()] == [{"p"}, {"p/a.md"}, {"p"}]


def test_a_change_that_only_added_the_canary_is_no_change_any_more(repo, clock):
    commit(repo, clock, {"_meta.md": "name\n"}, "one")
    commit(repo, clock, {"_meta.md": f"name\n{CANARY}\n"}, "two")
    commit(repo, clock, {"_meta.md": "name\n"}, "three")
    assert rewrite(repo) == 2
    assert [c.subject for c in repo.commits()] == ["one"]
    assert is_clean(repo)


def test_without_an_edit_files_stay_as_they_are(repo, clock):
    commit(repo, clock, {"_meta.md": f"{CANARY}\n", "secret/a.md": "x\n"})
    assert repo.rewrite(gone, None, edited, str) == 1
    assert repo.tree("HEAD") == {"_meta.md": blob_of(f"{CANARY}\n".encode())}


def test_a_detached_head_moves_too(repo, clock):
    commit(repo, clock, {"a.md": "1\n", "secret/a.md": f"{CANARY}\n"})
    run(repo, "checkout", "-q", "--detach")
    commit(repo, clock, {"a.md": "2\n"}, "apart")
    assert rewrite(repo) == 1
    assert [c.subject for c in repo.commits()] == ["a commit", "apart"]
    assert run(repo, "symbolic-ref", "-q", "HEAD", check=False) == ""
    assert is_clean(repo)


def test_a_detached_head_of_which_nothing_would_be_left_is_refused(repo, clock):
    head = commit(repo, clock, {"secret/a.md": f"{CANARY}\n"})
    run(repo, "checkout", "-q", "--detach")
    with pytest.raises(GitError, match="check out a branch first"):
        rewrite(repo)
    assert repo.head() == head


def test_other_work_trees_are_named_instead_of_keeping_the_secret(repo, clock, tmp_path):
    commit(repo, clock, {"secret/a.md": f"{CANARY}\n"})
    run(repo, "worktree", "add", "-q", str(tmp_path / "more"))
    with pytest.raises(GitError, match="git worktree remove"):
        rewrite(repo)


def test_a_merge_in_progress_is_given_up(repo, clock):
    commit(repo, clock, {"a.md": "1\n"})
    run(repo, "checkout", "-q", "-b", "side")
    commit(repo, clock, {"a.md": f"{CANARY}\n"})
    run(repo, "checkout", "-q", "main")
    commit(repo, clock, {"a.md": "2\n"})
    run(repo, "merge", "side", check=False)
    run(repo, "branch", "-q", "-D", "side")
    rewrite(repo)
    assert is_clean(repo)
    assert repo.dirty() == {"a.md"}
    assert repo.commit(["a.md"], "resolved")


PLAIN = st.sampled_from(["1\n", "2\n", None])
SECRET = st.sampled_from(["1\n", f"1\n{CANARY}\n", None])
CHANGES = st.fixed_dictionaries(
    {}, optional={"a.md": PLAIN, "d/b.md": PLAIN, "d/_meta.md": SECRET, "secret/c.md": SECRET}
)
HISTORIES = st.lists(st.tuples(st.lists(st.integers(0, 7), max_size=2), CHANGES), min_size=1, max_size=9)


def imported(repo, history):
    """Write a history of any form; each commit names parents among those before it. Gives each one's tree."""
    trees, stream = [], []
    for number, (drawn, changes) in enumerate(history):
        parents = list(dict.fromkeys(parent % number for parent in drawn)) if number else []
        tree = dict(trees[parents[0]]) if parents else {}
        stream.append(f"reset refs/heads/b{number}\ncommit refs/heads/b{number}\nmark :{number + 1}\n")
        stream.append(f"committer A <a@x> {1_700_000_000 + number} +0100\ndata 3\nc{number % 10}\n")
        stream += [f"{'merge' if row else 'from'} :{parent + 1}\n" for row, parent in enumerate(parents)]
        for path, text in changes.items():
            tree.pop(path, None)
            if text is None:
                stream.append(f"D {path}\n")
            else:
                tree[path] = text
                stream.append(f"M 644 inline {path}\ndata {len(text)}\n{text}\n")
        trees.append(tree)
    run(repo, "fast-import", "--quiet", input="".join(stream))
    return trees


@settings(max_examples=25, deadline=None)
@given(history=HISTORIES)
def test_every_commit_of_any_history_is_the_old_one_without_the_secrets(tmp_path_factory, history):
    repo = Git(tmp_path_factory.mktemp("any") / "wiki")
    trees = imported(repo, history)
    run(repo, "symbolic-ref", "HEAD", f"refs/heads/b{len(history) - 1}")
    rewrite(repo)
    assert is_clean(repo)
    for number, old in enumerate(trees):
        texts = {path: edit(path, text.encode()) if edited(path) else text.encode() for path, text in old.items()}
        expected = {path: blob_of(text) for path, text in texts.items() if not gone(path)}
        branch = run(repo, "rev-parse", "--verify", "-q", f"refs/heads/b{number}", check=False)
        assert (repo.tree(branch) if branch else {}) == expected
    before = run(repo, "show-ref", check=False)
    assert rewrite(repo) == 0
    assert run(repo, "show-ref", check=False) == before
