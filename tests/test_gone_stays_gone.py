"""Every way to delete against every way in which things come to be: what is gone stays gone."""

import json
import subprocess
import sys
import uuid

import pytest

from ai_memory.compile.packet import mark_in
from ai_memory.errors import AiMemoryError
from ai_memory.memory.intake import Delivery
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.handoff import stamp
from tests.memory.conftest import World, ids  # noqa: F401 - a fixture
from tests.memory.test_moves import content, ends, project, read, send, write

CANARY = "xanthippe"
NOTE = "notes/a.md"
WRITER = Writer("codex")
SHOP = {"cwd": "/srv/shop", "repo_root": "/srv/shop"}


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def run(*arguments, cwd, check=True):
    """Run git as a person does."""
    who = ["-c", "user.name=ana", "-c", "user.email=ana@home"]
    return subprocess.run(["git", *who, *arguments], cwd=cwd, capture_output=True, text=True, check=check)


class Past:
    """What there was before the delete, for those who want it back."""

    def __init__(self, world):
        self.world = world
        self.shop = project(world)
        self.at = world.now
        git = world.memory.stores.wiki.git
        self.head = git.head()
        self.clone = world.data.parent / "clone"
        run("clone", "--quiet", str(git.root), str(self.clone), cwd=world.data)
        self.files = {
            file: file.read_bytes()
            for top in ("wiki", "raw")
            for file in (world.data / top).rglob("*")
            if file.is_file() and ".git" not in file.parts
        }

    def put_back(self, *suffixes):
        for file, old in self.files.items():
            if file.name.endswith(suffixes) and not file.name.startswith(("_meta", "log-")):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(old)


# Ways to delete: each takes a page, or a session with all that it left, away from the project.


def delete_page(world, session):
    for path in (NOTE, f"sessions/{session}.md"):
        assert world.memory.pages.delete(project(world), path, WRITER)


def forget_sweep(world, session):
    """The note's time is over; the session's page and its packet are older than anybody's interest in them."""
    world.passes(days=150)
    plan = world.memory.upkeep.sweep.run(project(world))
    cold = [each.path for each in plan.cold]
    assert (list(plan.expired), cold[-1], len(cold)) == ([NOTE], f"sessions/{session}.md", 2)


def outside_delete(world, session):
    folder = world.memory.stores.wiki.folder(project(world))
    for path in (NOTE, f"sessions/{session}.md"):
        (folder / path).unlink()
    for _ in range(2):
        world.memory.outside.reconcile()


def purge_session(world, session):
    world.memory.purge.session(project(world), uuid.UUID(session), confirm=True)
    world.memory.purge.page(project(world), NOTE, confirm=True)


def purge_session_history(world, session):
    world.memory.purge.session(project(world), uuid.UUID(session), confirm=True, history=True)
    world.memory.purge.page(project(world), NOTE, confirm=True)


def purge_project(world, session):
    world.memory.purge.project(project(world), confirm=True)


DELETES = [delete_page, forget_sweep, outside_delete, purge_session, purge_session_history, purge_project]
PURGES = [purge_session, purge_session_history, purge_project]


# Ways in which things come to be


def hook_event(world, past, session):
    send(world, session, at=past.at, **SHOP)
    send(world, session, event="session-end", at=past.at, **SHOP)


def spool_drain(world, past, session):
    items = [
        {
            "url": f"/hook?event={event}&agent=codex&cwd=/srv/shop&repo_root=/srv/shop&ingest_key={uuid.uuid4().hex}",
            "body": {"session_id": session, "prompt": "late words", "occurred_at": past.at.isoformat()},
        }
        for event in ("user-prompt", "stop", "session-end")
    ]
    world.memory.intake.record([Delivery(None, json.dumps(items).encode())])


def watcher(world, past, session):
    past.put_back(".md")
    world.memory.outside.changed([file for file in past.files if file.suffix == ".md"])


def walk(world, past, session):
    past.put_back(".md")
    for _ in range(2):
        world.memory.outside.reconcile()


def write_page(world, past, session):
    for path in (NOTE, f"sessions/{session}.md"):
        with pytest.raises(AiMemoryError):
            world.memory.pages.write(past.shop, path, CANARY, Fields(), WRITER)


def restore_of_another_page(world, past, session):
    if world.memory.projects.known(past.shop.id):
        (version, *_) = world.memory.pages.history(past.shop, "notes/kept.md")
        world.memory.pages.restore(past.shop, "notes/kept.md", version.revision, WRITER)


def rebuild(world, past, session):
    world.close()
    for file in (world.data / "db").glob("index.db*"):
        file.unlink()
    world.open()


def restart(world, past, session):
    world.close()
    world.open()


def git_checkout(world, past, session):
    found = subprocess.run(["git", "cat-file", "-e", past.head], cwd=world.data / "wiki", capture_output=True)
    if found.returncode == 0:
        paths = [str(file.relative_to(world.data / "wiki")) for file in past.files if file.suffix == ".md"]
        paths = [path for path in paths if "notes/a" in path or "sessions/" in path or "packets/" in path]
        subprocess.run(["git", "checkout", past.head, "--", *paths], cwd=world.data / "wiki", check=True)
    for _ in range(2):
        world.memory.outside.reconcile()


def git_pull(world, past, session):
    """A clone that still has everything pushes on, and its side wins what the merge cannot decide."""
    for file in past.clone.glob(f"*/*/{NOTE}"):
        file.write_text(f"Also of {CANARY}.")
    merged_from(world, past)


def git_pull_of_other_pages(world, past, session):
    for file in past.clone.glob("*/*/notes/kept.md"):
        file.write_text("This one stays, and was edited.")
    merged_from(world, past)


def merged_from(world, past):
    run("commit", "--quiet", "-am", "at home", cwd=past.clone)
    wiki = world.data / "wiki"
    pulled = ["pull", "--quiet", "--no-rebase", "--no-edit", "--allow-unrelated-histories", "-X", "ours"]
    if run(*pulled, str(past.clone), "HEAD", cwd=wiki, check=False).returncode:
        # Deleted here, edited there: somebody takes the edited one.
        run("add", "--all", cwd=wiki)
        run("commit", "--quiet", "-m", "merge", cwd=wiki)
    theirs = run("rev-parse", "HEAD", cwd=past.clone).stdout.strip()
    run("merge-base", "--is-ancestor", theirs, "HEAD", cwd=wiki)
    for _ in range(2):
        world.memory.outside.reconcile()


def raw_import(world, past, session):
    world.close()
    past.put_back(".jsonl")
    world.open()
    rebuild(world, past, session)


CREATIONS = [
    hook_event,
    spool_drain,
    watcher,
    walk,
    write_page,
    restore_of_another_page,
    rebuild,
    restart,
    git_checkout,
    git_pull,
    git_pull_of_other_pages,
    raw_import,
]


def began(world, session):
    ends(world, session, prompt=f"Ask {CANARY}.", answer=f"It is {CANARY}.")
    write(world, NOTE, f"---\nexpires_at: 2027-01-01\n---\nA note on {CANARY}.")
    write(world, "notes/kept.md", "This one stays.")


@pytest.mark.parametrize("creation", CREATIONS)
@pytest.mark.parametrize("delete", DELETES)
def test_what_is_gone_stays_gone(world, ids, delete, creation):  # noqa: F811 - the fixture
    began(world, ids[0])
    past = Past(world)
    delete(world, ids[0])
    world.passes(minutes=1)
    creation(world, past, ids[0])
    world.memory.sessions.settle()
    world.memory.sessions.close_idle()
    for _ in range(2):
        assert world.memory.recall.search(CANARY) == []
        pages = {path for each in content(world).values() for path in each["pages"]}
        assert not pages & {NOTE, f"sessions/{ids[0]}.md"}
        if delete is forget_sweep or delete in PURGES:
            assert not any(map(mark_in, pages))
        if delete in PURGES:
            assert world.memory.stores.index.sessions_of(uuid.UUID(ids[0])) == []
            assert world.memory.stores.state.counts() == {}
            assert CANARY not in world.starts(ids[1])
        if delete is purge_project:
            assert content(world) == {}
        world.close()
        world.open()
        world.memory.sessions.settle()


@pytest.mark.parametrize("delete", [delete_page, forget_sweep, outside_delete])
def test_a_deleted_page_comes_back_when_somebody_restores_it_or_says_revive(world, ids, delete):  # noqa: F811 - the fixture
    began(world, ids[0])
    (version,) = world.memory.pages.history(project(world), NOTE)
    delete(world, ids[0])
    world.memory.pages.restore(project(world), NOTE, version.revision, WRITER)
    assert CANARY in read(world, NOTE)
    delete_again = world.memory.pages.delete(project(world), NOTE, WRITER)
    assert delete_again
    write(world, NOTE, f"Anew: {CANARY}.", revive=True)
    assert [hit.path for hit in world.memory.recall.search(CANARY)] == [NOTE]


def test_a_purged_page_comes_back_by_nobodys_word(world, ids):  # noqa: F811 - the fixture
    began(world, ids[0])
    (version,) = world.memory.pages.history(project(world), NOTE)
    purge_session(world, ids[0])
    with pytest.raises(AiMemoryError):
        world.memory.pages.restore(project(world), NOTE, version.revision, WRITER)
    with pytest.raises(AiMemoryError):
        write(world, NOTE, "Anew.", revive=True)


@pytest.mark.parametrize("delete", DELETES)
def test_a_restore_of_an_older_backup_brings_back_what_was_in_it_and_says_so(world, ids, delete):  # noqa: F811 - the fixture
    """What the answer of a purge says: backups still have it. Whoever restores one gets what was in it."""
    began(world, ids[0])
    archive, made = world.data.parent / "backup.tar.gz", world.now
    with world.memory.backup() as packed:
        archive.write_bytes(packed.read())
    delete(world, ids[0])
    assert world.memory.recall.search(CANARY) == []
    world.close()
    command = [sys.executable, "-m", "ai_memory", "--data-dir", str(world.data), "restore", "--from", str(archive)]
    done = subprocess.run([*command, "--force"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == (
        f"deletes and purges that were made after {stamp(made)} are undone by it: make them again"
    )
    world.now = made
    world.open()
    assert {hit.path for hit in world.memory.recall.search(CANARY)} == {NOTE, f"sessions/{ids[0]}.md"}
    delete(world, ids[0])
    assert world.memory.recall.search(CANARY) == []
