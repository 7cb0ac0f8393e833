"""A wiki that somebody merges, resets, loses or damages: nothing is lost or doubled, and the server goes on."""

import os
import shutil
import subprocess
import threading
import uuid

import pytest

from ai_memory.errors import AiMemoryError, ConflictError, StorageError
from ai_memory.memory.pages import Fields, Writer
from ai_memory.memory.stores import WikiMissingError
from ai_memory.store import steps
from ai_memory.store.git import MergeUnfinishedError
from ai_memory.store.operations import UnfinishedOperationError
from ai_memory.store.steps import Step
from tests.memory.conftest import World, ids  # noqa: F401 - a fixture
from tests.memory.test_moves import project
from tests.mirror import assert_rebuild_is_equal

WRITER = Writer("codex")
FOREIGN = "## [2026-11-20T11:00:00Z] user-prompt | other machine\n"


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    if world.memory:
        world.crash()


def git(world, *arguments, cwd=None, check=True):
    names = {f"GIT_{who}_{what}": "h@h" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dates = {f"GIT_{who}_DATE": world.now.isoformat() for who in ("AUTHOR", "COMMITTER")}
    done = subprocess.run(
        ["git", *arguments],
        cwd=cwd or world.data / "wiki",
        env={**os.environ, **names, **dates},
        capture_output=True,
        text=True,
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


def write(world, path, body):
    if not world.memory.projects.all():
        world.memory.projects.create("default", "shop")
    world.passes(seconds=1)
    return world.memory.pages.write(project(world), path, body, Fields(), WRITER)


def ends(world, session, **said):
    world.works(session, **said)
    world.says(session, "session-end")
    world.memory.sessions.settle()


def base(world):
    shop = project(world)
    return f"{shop.workspace_id}/{shop.id}"


def clone(world, tmp_path):
    git(world, "clone", "-q", str(world.data / "wiki"), str(tmp_path / "clone"), cwd=tmp_path)
    return tmp_path / "clone"


def merges_in_conflict(world, tmp_path):
    """Leave a person in the middle of a merge, in which notes/a.md is in conflict."""
    write(world, "notes/a.md", "base")
    other = clone(world, tmp_path)
    (other / base(world) / "notes/a.md").write_text("theirs\n")
    (other / base(world) / "notes/new.md").write_text("theirs new\n")
    git(world, "add", ".", cwd=other)
    git(world, "commit", "-qm", "theirs", cwd=other)
    write(world, "notes/a.md", "ours")
    git(world, "pull", "-q", "--no-rebase", str(other), "main", "--no-edit", check=False)
    world.passes(minutes=1)
    world.memory.outside.reconcile()


def resolves(world):
    (world.data / "wiki" / base(world) / "notes/a.md").write_text("both\n")
    git(world, "add", ".")
    git(world, "commit", "-qm", "merged")


def loses_index(world):
    world.close()
    for file in (world.data / "db").glob("index.db*"):
        file.unlink()
    world.open()
    world.memory.sessions.settle()


def mirrors(world):
    def restart():
        world.open()
        world.close()

    world.close()
    assert_rebuild_is_equal(world.data, restart)


# Somebody is in the middle of a merge


def test_nothing_is_committed_into_a_merge_and_all_of_it_afterwards(world, tmp_path, ids):  # noqa: F811
    merges_in_conflict(world, tmp_path)
    head = git(world, "rev-parse", "HEAD")
    world.works(ids[0])
    world.says(ids[0], "session-end")
    with pytest.raises(MergeUnfinishedError, match="a merge is not finished"):
        world.memory.sessions.settle()
    assert list(world.pages()) == [ids[0]]
    assert (world.memory.sessions.has_due(), git(world, "rev-parse", "HEAD")) == (True, head)
    assert world.memory.status(bind="")["warnings"] == [
        f"a merge is not finished in {world.data / 'wiki'}: finish or abort it, with git"
    ]
    unmerged = git(world, "ls-files", "--unmerged")
    for refused in (
        lambda: write(world, "notes/b.md", "b"),
        lambda: world.memory.pages.delete(project(world), "notes/a.md", WRITER),
        lambda: world.memory.moves.rename_project(project(world), "store"),
        lambda: world.memory.purge.page(project(world), "notes/a.md", confirm=True),
    ):
        with pytest.raises(MergeUnfinishedError):
            refused()
    world.close()
    world.open()
    assert (git(world, "rev-parse", "HEAD"), git(world, "ls-files", "--unmerged")) == (head, unmerged)
    assert world.memory.stores.operations.pending() is None
    resolves(world)
    world.memory.outside.reconcile()
    world.memory.sessions.settle()
    assert world.subjects()[:2] == ["session 00000000: Please fix the rounding.", "merged"]
    assert "theirs new" in git(world, "show", f"HEAD:{base(world)}/notes/new.md")
    assert world.memory.status(bind="")["warnings"] == []
    mirrors(world)


@pytest.mark.parametrize("what", ["rebase", "cherry-pick", "stash"])
def test_nothing_is_committed_into_other_work_of_a_person_either(world, tmp_path, what):
    write(world, "notes/a.md", "base")
    file = world.data / "wiki" / base(world) / "notes/a.md"
    git(world, "checkout", "-q", "-b", "side")
    file.write_text("side\n")
    if what == "stash":
        git(world, "stash", "-q")
    else:
        git(world, "commit", "-qam", "side")
    git(world, "checkout", "-q", "main")
    write(world, "notes/a.md", "ours")
    if what == "stash":
        git(world, "stash", "pop", check=False)
    elif what == "rebase":
        git(world, "checkout", "-q", "side")
        git(world, "rebase", "main", check=False)
    else:
        git(world, "cherry-pick", "side", check=False)
    with pytest.raises(MergeUnfinishedError, match=f"a {'merge' if what == 'stash' else what} is not finished"):
        write(world, "notes/b.md", "b")
    if what == "stash":
        git(world, "checkout", "--ours", str(file))
        git(world, "add", str(file))
    else:
        git(world, what, "--abort")
    git(world, "checkout", "-q", "main")
    world.memory.outside.reconcile()
    assert write(world, "notes/b.md", "b").changed


def test_two_machines_that_add_to_a_ledger_are_no_conflict(world, tmp_path, ids):  # noqa: F811
    ends(world, ids[0])
    other, ledger = clone(world, tmp_path), f"{base(world)}/log-2026-11.md"
    with (other / ledger).open("a") as file:
        file.write(FOREIGN)
    git(world, "commit", "-qam", "session other machine", cwd=other)
    ends(world, ids[1])
    git(world, "pull", "-q", "--no-rebase", str(other), "main", "--no-edit")
    ends(world, ids[2])
    committed = git(world, "show", f"HEAD:{ledger}")
    assert FOREIGN in committed
    assert (committed.count("## ["), "<<<<<<<" in committed) == (16, False)


def test_a_repository_that_came_from_elsewhere_merges_ledgers_too(world):
    world.memory.stores.wiki.git.disarm()
    assert (world.data / "wiki" / ".git" / "info" / "attributes").read_text() == "log-*.md merge=union\n"


def test_the_server_starts_in_the_middle_of_a_merge_with_edits_to_commit(world, tmp_path):
    write(world, "notes/b.md", "b")
    merges_in_conflict(world, tmp_path)
    edited = world.data / "wiki" / base(world) / "notes/b.md"
    edited.write_text("edited in an editor\n")
    long_ago = world.now.timestamp() - 300
    os.utime(edited, (long_ago, long_ago))
    world.close()
    world.open()
    resolves(world)
    world.memory.outside.reconcile()
    assert git(world, "status", "--porcelain") == ""


# The history is another one, or gone


def test_what_a_reset_took_is_written_again_live_as_by_a_rebuild(world, ids):  # noqa: F811
    ends(world, ids[0])
    ends(world, ids[1])
    ledger = world.ledger()
    git(world, "reset", "--hard", "-q", "HEAD~1")
    world.passes(minutes=1)
    world.memory.outside.reconcile()
    world.memory.sessions.settle()
    assert (sorted(world.pages()), world.ledger()) == (ids[:2], ledger)
    loses_index(world)
    assert (sorted(world.pages()), world.ledger()) == (ids[:2], ledger)
    mirrors(world)


def test_what_a_reset_took_while_the_server_was_off_is_written_again(world, ids):  # noqa: F811
    ends(world, ids[0])
    ends(world, ids[1])
    ledger = world.ledger()
    world.close()
    git(world, "reset", "--hard", "-q", "HEAD~1")
    world.open()
    world.memory.sessions.settle()
    assert (sorted(world.pages()), world.ledger()) == (ids[:2], ledger)


@pytest.mark.parametrize("empty", [True, False])
def test_a_wiki_that_is_gone_is_not_begun_anew(world, ids, empty):  # noqa: F811
    ends(world, ids[0])
    world.close()
    wiki = world.data / "wiki"
    shutil.move(wiki, world.data / "away")
    if empty:
        wiki.mkdir()
    with pytest.raises(WikiMissingError, match=r"missing or empty.*restore.*reset") as refused:
        world.open()
    assert refused.value.exit_code == 3
    assert not (list(wiki.iterdir()) if empty else wiki.exists())
    shutil.rmtree(wiki, ignore_errors=True)
    shutil.move(world.data / "away", wiki)
    world.open()
    assert list(world.pages()) == [ids[0]]


def test_a_damaged_object_of_git_keeps_nobody_from_the_other_pages(world):
    write(world, "notes/a.md", "a")
    write(world, "notes/b.md", "b")
    blob = world.memory.stores.wiki.git.tree("HEAD")[f"{base(world)}/notes/a.md"]
    (world.data / "wiki" / base(world) / "notes/a.md").unlink()
    world.close()
    damaged = world.data / "wiki/.git/objects" / blob[:2] / blob[2:]
    damaged.chmod(0o600)
    damaged.write_bytes(b"")
    (world.data / "db" / "index.db").unlink()
    world.open()
    assert [row.path for row in world.memory.stores.pages.pages(project(world).id)] == ["notes/b.md"]
    assert blob in world.memory.status(bind="")["stages"]["indexing"]["last_error"]


# Ledgers


@pytest.mark.parametrize("when", ["edited", "pinned"])
def test_a_rebuild_doubles_no_line_of_a_session_whose_page_somebody_took(world, ids, when):  # noqa: F811
    world.works(ids[0])
    world.memory.sessions.settle()
    world.memory.sessions.checkpoint(project(world).id, uuid.UUID(ids[0]), label="pre-compact")
    page = world.memory.stores.wiki.folder(project(world)) / f"sessions/{ids[0]}.md"
    text = page.read_text()
    page.write_text(f"{text}\nMy own note.\n" if when == "edited" else text.replace("---\n", "---\npinned: true\n", 1))
    world.memory.outside.reconcile()
    world.works(ids[0], prompt="The second thing.")
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    ledger = world.ledger()
    for _ in range(2):
        loses_index(world)
        assert world.ledger() == ledger
    world.works(ids[0], prompt="The third thing.")
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    assert len(world.ledger()) == len(ledger) + 5
    mirrors(world)


@pytest.mark.parametrize("read", [1, 2, 3])
def test_a_rebuild_that_is_killed_in_the_middle_doubles_no_line_and_no_commit(world, ids, monkeypatch, read):  # noqa: F811
    for each in ids[:3]:
        ends(world, each)
    before = world.ledger(), world.subjects()
    world.close()
    for file in (world.data / "db").glob("index.db*"):
        file.unlink()
    places = []

    def kill(step):
        places.append(step)
        if places.count(Step.INDEX_SESSION_READ) == read:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(steps, "_listeners", [kill])
        with pytest.raises(KeyboardInterrupt):
            world.open()
    world.open()
    world.memory.sessions.settle()
    assert (world.ledger(), world.subjects()) == before
    assert world.memory.status(bind="")["derived"]["sessions_uncommitted"] == 0
    mirrors(world)


def test_an_older_raw_log_that_was_put_back_leaves_no_rows_behind(world, ids):  # noqa: F811
    world.works(ids[0])
    world.memory.sessions.settle()
    raw = next((world.data / "raw").rglob("*.jsonl"))
    old = raw.read_bytes()
    world.works(ids[0], prompt="More.")
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    world.close()
    raw.write_bytes(old)
    world.open()
    assert world.memory.status(bind="")["derived"]["index_rebuilt"] == "an older copy of a raw log was put back"
    assert world.memory.stores.index.counts()["observations"] == 4
    mirrors(world)


# Operations that something is in the way of


def put_back_raw(world):
    """Give what puts back every raw log that is there now."""
    logs = {file: file.read_bytes() for file in (world.data / "raw").rglob("*.jsonl")}

    def put_back():
        for file, content in logs.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    return put_back


def test_a_session_is_not_moved_to_where_its_raw_log_came_back(world, ids):  # noqa: F811
    ends(world, ids[0])
    put_back, session = put_back_raw(world), uuid.UUID(ids[0])
    world.memory.moves.move_session(project(world), session, "other", confirm=True, create=True, force=True)
    put_back()
    other = world.memory.projects.named("default", "other")
    with pytest.raises(ConflictError, match="has a raw log of session"):
        world.memory.moves.move_session(other, session, "shop", confirm=True, force=True)
    assert world.memory.stores.operations.pending() is None


def test_a_project_is_not_moved_to_where_its_raw_logs_came_back(world, ids):  # noqa: F811
    ends(world, ids[0])
    put_back = put_back_raw(world)
    world.memory.moves.move_project(project(world), "team", confirm=True, force=True)
    put_back()
    moved = world.memory.projects.named("team", "shop")
    with pytest.raises(ConflictError, match="is there already, with raw logs of"):
        world.memory.moves.move_project(moved, "default", confirm=True, force=True)
    assert world.memory.stores.operations.pending() is None


def test_an_operation_that_cannot_be_finished_keeps_the_server_from_nothing_else(world, ids):  # noqa: F811
    ends(world, ids[0])
    refuse = pytest.MonkeyPatch()

    def full(*_):
        raise StorageError("the disk is full")

    refuse.setattr("ai_memory.store.rawlog.RawLog.move_session", full)
    shop, session = project(world), uuid.UUID(ids[0])
    with pytest.raises(UnfinishedOperationError, match=r"move-session, begun at .* is not finished: the disk is full"):
        world.memory.moves.move_session(shop, session, "other", confirm=True, create=True, force=True)
    world.crash()
    world.open()
    (warning,) = world.memory.status(bind="")["warnings"]
    assert "is not finished: the disk is full" in warning
    assert world.says(ids[1], "user-prompt", prompt="Something else.", cwd="/srv/bank") == "stored"
    with pytest.raises(UnfinishedOperationError, match="move-session"):
        world.memory.moves.rename_project(world.memory.projects.get(shop.id), "store")
    # Also when what it was about is nowhere but in the files.
    loses_index(world)
    refuse.undo()
    world.memory.finish_operation()
    assert world.memory.status(bind="")["warnings"] == []
    other = world.memory.projects.named("default", "other")
    assert world.memory.stores.index.session(other.id, session).committed == 5
    assert world.memory.moves.rename_project(world.memory.projects.get(shop.id), "store")["to"] == "store"
    mirrors(world)


def test_a_note_that_cannot_be_read_is_told_of(world):
    world.close()
    (world.data / "db" / "operation.json").write_text("{")
    world.open()
    assert "operation.json cannot be read" in world.memory.status(bind="")["warnings"][0]


# Packing


def test_what_is_purged_while_the_repository_is_packed_is_in_no_pack(world):
    for number in range(200):
        write(world, f"notes/n{number}.md", os.urandom(20_000).hex())
    write(world, "notes/secret.md", "xanthippe" * 50)
    stores = world.memory.stores
    secret = stores.wiki.git.tree("HEAD")[f"{base(world)}/notes/secret.md"]
    packing = threading.Event()
    run = stores.wiki.git._run

    def telling(*arguments, **more):
        if "gc" in arguments:
            packing.set()
        return run(*arguments, **more)

    stores.wiki.git._run = telling
    thread = threading.Thread(target=world.memory.upkeep.compact)
    thread.start()
    packing.wait(30)
    world.memory.purge.page(project(world), "notes/secret.md", confirm=True)
    thread.join()
    with pytest.raises(AiMemoryError):
        stores.wiki.git.blob(secret)
