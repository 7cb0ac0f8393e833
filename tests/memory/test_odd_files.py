"""What stands in a wiki that is no plain readable page: links, files that cannot be read, names like a ledger's."""

import errno
import os
import shutil
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from ai_memory.compile.session_page import session_path
from ai_memory.errors import NotFoundError, StorageError
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.page import BadPagePathError
from ai_memory.model.scope import BadNameError, Routing
from ai_memory.store.wiki import LinkedPathError
from tests.mirror import assert_rebuild_is_equal

ANA = Writer(agent="claude-code", user="ana")
NOTHING = Fields()
TOKEN = "ghp_" + "A1b2C3d4E5" * 3 + "F6g7H8"
#: One that could be a name.
SLACK = "xoxb-" + "123456789012-" * 2 + "a1b2c3d4e5f6g7h8i9j0k1l2"


class Desk:
    """One project, and a folder outside of the wiki that nobody may touch."""

    def __init__(self, world, outside):
        self.world = world
        self.outside = outside
        outside.mkdir()
        (outside / "a.md").write_text("precious")
        self.project = self.memory.projects.ensure(Routing(cwd="/srv/shop", repo_root="/srv/shop")).project

    @property
    def memory(self):
        return self.world.memory

    @property
    def folder(self):
        return self.memory.stores.wiki.folder(self.project)

    def write(self, path, body="Text.", fields=NOTHING, writer=ANA, **options):
        self.world.passes(minutes=1)
        return self.memory.pages.write(self.project, path, body, fields, writer, **options)

    def found(self, text, **when):
        return [hit.path for hit in self.memory.recall.search(text, [self.project], **when)]

    def walks(self, times=1):
        for _ in range(times):
            self.world.passes(minutes=1)
            self.memory.outside.reconcile()

    def problems(self):
        return {path: problem for _, path, problem in self.memory.stores.pages.problems()}

    def in_git(self):
        prefix = f"{self.project.workspace_id}/{self.project.id}/"
        return {path.removeprefix(prefix) for path in self.memory.stores.wiki.committed(prefix)} - {"_meta.md"}

    def untouched(self):
        return {file.name: file.read_text() for file in self.outside.iterdir()} == {"a.md": "precious"}

    def replaced_by_link(self, name):
        """Put a link to the folder outside in the place of a folder of the project."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / name).symlink_to(self.outside)


@pytest.fixture
def desk(world, tmp_path):
    return Desk(world, tmp_path / "outside")


# Links


def test_no_write_follows_a_link_out_of_the_project(desk):
    desk.write("notes/b.md")
    desk.replaced_by_link("link")
    (desk.folder / "notes/leaf.md").symlink_to(desk.outside / "a.md")
    for path in ("link/a.md", "link/new.md", "link/deep/new.md", "notes/leaf.md"):
        with pytest.raises(LinkedPathError, match="is a symbolic link, which is not followed") as refused:
            desk.write(path, "planted")
        assert refused.value.status == 409
    assert desk.untouched()
    assert desk.in_git() == {"notes/b.md"}


def test_no_read_shows_what_is_behind_a_link(desk):
    desk.write("docs/a.md", "mine")
    desk.replaced_by_link("docs")
    for _ in range(2):
        with pytest.raises(NotFoundError, match="symbolic link"):
            desk.memory.pages.read(desk.project, "docs/a.md")
        desk.walks()
    assert desk.found("precious") == []


def test_no_delete_and_no_purge_follows_a_link(desk, ids):
    desk.world.works(ids[0])
    desk.world.says(ids[0], "session-end")
    desk.memory.sessions.settle()
    first = desk.write("docs/a.md", "mine")
    desk.replaced_by_link("docs")
    (desk.outside / f"{ids[0]}.md").write_text("precious, too")
    desk.replaced_by_link("sessions")
    for attempt in (
        lambda: desk.memory.pages.delete(desk.project, "docs/a.md", ANA),
        lambda: desk.memory.pages.restore(desk.project, "docs/a.md", first.revision, ANA),
        lambda: desk.memory.purge.page(desk.project, "docs/a.md", confirm=True),
        lambda: desk.memory.purge.session(desk.project, UUID(ids[0]), confirm=True),
        lambda: desk.memory.moves.move_session(desk.project, UUID(ids[0]), "other", confirm=True, create=True),
    ):
        with pytest.raises(LinkedPathError):
            attempt()
    assert (desk.outside / f"{ids[0]}.md").read_text() == "precious, too"
    assert (desk.outside / "a.md").read_text() == "precious"


def test_a_page_whose_folder_became_a_link_is_taken_for_deleted_and_the_file_behind_stays(desk):
    for path in ("docs/a.md", "notes/a.md", "notes/b.md"):
        desk.write(path)
    desk.replaced_by_link("docs")
    desk.walks(3)
    assert desk.in_git() == {"notes/a.md", "notes/b.md"}
    assert desk.memory.stores.wiki.is_gone(desk.project.id, "docs/a.md")
    assert desk.untouched()


def test_a_delete_that_was_cut_short_is_finished_beside_a_link(desk):
    desk.write("docs/a.md")
    desk.memory.pages._bury(desk.project, ["docs/a.md"], "delete-page")
    desk.replaced_by_link("docs")
    desk.walks()
    assert desk.in_git() == set()
    assert desk.untouched()


def test_a_session_goes_on_beside_a_link_and_writes_nothing_behind_it(desk, ids):
    desk.replaced_by_link("sessions")
    desk.world.works(ids[0])
    desk.world.says(ids[0], "session-end")
    desk.memory.sessions.settle()
    assert desk.untouched()
    (draft,) = desk.memory.packets.drafts("owner")
    assert desk.in_git() == {"log-2026-11.md", f"packets/{draft.id}.md"}


def test_a_ledger_that_is_a_link_is_not_written_to(desk, ids):
    (desk.folder / "log-2026-11.md").symlink_to(desk.outside / "a.md")
    desk.world.works(ids[0])
    desk.world.says(ids[0], "session-end")
    with pytest.raises(LinkedPathError):
        desk.memory.sessions.settle()
    assert desk.untouched()
    (desk.folder / "log-2026-11.md").unlink()
    desk.memory.sessions.settle()
    assert {"log-2026-11.md", session_path(UUID(ids[0]))} <= desk.in_git()


def test_a_merge_of_projects_puts_nothing_behind_a_link(desk):
    desk.write("docs/b.md")
    other = desk.memory.projects.create("team", "shop")
    (desk.memory.stores.wiki.folder(other) / "docs").symlink_to(desk.outside)
    with pytest.raises(LinkedPathError):
        desk.memory.moves.move_project(desk.project, "team", confirm=True)
    assert desk.untouched()
    assert (desk.folder / "docs/b.md").is_file()


def test_an_export_has_nothing_from_behind_a_link(desk):
    desk.write("docs/a.md", "mine")
    desk.write("notes/b.md")
    desk.replaced_by_link("docs")
    with desk.memory.export(desk.project, skip_broken=False).archive as archive:
        assert b"precious" not in archive.read()


# Files that cannot be read


@pytest.fixture
def locked(monkeypatch):
    """Names of files and folders that this process may not read; tests may run as root, whom nothing stops."""
    names = set()
    read, scan = Path.read_bytes, os.scandir

    def refuse(path):
        if Path(path).name in names:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_bytes", lambda self: (refuse(self), read(self))[1])
    monkeypatch.setattr(
        os, "scandir", lambda path=".": (refuse(path) if isinstance(path, Path) else None, scan(path))[1]
    )
    return names


def test_a_page_that_cannot_be_read_stops_no_other(desk, locked):
    desk.write("notes/a.md", "Cinnamon.")
    locked.update(("a.md", "new.md"))
    (desk.folder / "notes/a.md").write_text("Nobody can read this.")
    (desk.folder / "notes/new.md").write_text("Nor this.")
    (desk.folder / "notes/b.md").write_text("Nutmeg.")
    desk.walks(3)
    said = "it cannot be read: Permission denied"
    assert desk.problems() == {"notes/a.md": said, "notes/new.md": said}
    # As git has it, until it can be read.
    assert desk.found("cinnamon") == ["notes/a.md"]
    assert desk.found("nutmeg") == ["notes/b.md"]
    with pytest.raises(StorageError, match=r"notes/a.md cannot be read: Permission denied"):
        desk.memory.pages.read(desk.project, "notes/a.md")
    with pytest.raises(StorageError, match="cannot be read"):
        desk.write("notes/a.md", "Over it.")
    desk.memory.pages.commit_all("all of it", ANA)
    assert desk.in_git() == {"notes/a.md", "notes/b.md"}
    assert_rebuild_is_equal(desk.world.data, lambda: (desk.world.close(), desk.world.open(), desk.world.close()))
    desk.world.open()
    assert desk.problems() == {"notes/a.md": said, "notes/new.md": said}
    locked.clear()
    desk.walks()
    assert desk.problems() == {}
    assert desk.found("nobody") == ["notes/a.md"]


def test_an_export_names_a_page_that_cannot_be_read(desk, locked):
    desk.write("notes/a.md")
    locked.add("a.md")
    bundle = desk.memory.export(desk.project, skip_broken=True)
    bundle.archive.close()
    assert bundle.left_out == ["notes/a.md: it cannot be read: Permission denied"]


def test_pages_of_a_folder_that_cannot_be_read_are_not_taken_for_deleted(desk, locked):
    desk.write("notes/a.md", "Cinnamon.")
    desk.write("docs/b.md", "Nutmeg.")
    locked.add("notes")
    desk.walks(4)
    assert desk.in_git() == {"notes/a.md", "docs/b.md"}
    assert desk.found("cinnamon") == ["notes/a.md"]
    assert desk.memory.indexing.meter.report()["last_error"].endswith("/notes'")


def test_a_file_that_goes_while_it_is_looked_at_is_not_there(desk, monkeypatch):
    desk.write("notes/a.md")
    desk.write("notes/b.md")
    read = Path.read_bytes

    def going(self):
        if self.name == "a.md":
            self.unlink(missing_ok=True)
        return read(self)

    (desk.folder / "notes/a.md").write_text("Changed.")
    monkeypatch.setattr(Path, "read_bytes", going)
    assert desk.memory.outside.reconcile().missing == {}
    assert desk.memory.outside.reconcile().missing == {desk.project.id: ["notes/a.md"]}


def test_a_name_that_another_system_could_not_have_is_committed_all_the_same(desk):
    (desk.folder / "notes").mkdir()
    (desk.folder / "notes/a:b.md").write_text("Sorrel.")
    os.utime(desk.folder / "notes/a:b.md", (0, 0))
    desk.walks(2)
    assert desk.in_git() == {"notes/a:b.md"}
    assert desk.found("sorrel") == ["notes/a:b.md"]


def test_a_start_that_fails_gives_the_directory_back(world, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere")

    world.close()
    with monkeypatch.context() as patched:
        patched.setattr("ai_memory.memory.outside.Outside.reconcile", full)
        with pytest.raises(StorageError, match=r"cannot be used: No space left on device \(/somewhere\)"):
            world.open()
    world.open()
    assert world.memory.projects.all() == []


# Names like a ledger's


def test_a_page_that_is_called_like_a_ledger_is_a_page_everywhere(desk, ids):
    desk.world.works(ids[0])
    desk.world.says(ids[0], "session-end")
    desk.memory.sessions.settle()
    pages = ["log-decisions.md", "log-weekend.md", "log-2026-13.md"]
    for path in pages:
        desk.write(path, f"Saffron of {path}.")
    assert sorted(desk.found("saffron")) == sorted(pages)
    desk.memory.projects.create("team", "shop")
    desk.memory.moves.move_project(desk.project, "team", confirm=True)
    (desk.project,) = desk.memory.projects.all()
    assert sorted(desk.found("saffron")) == sorted(pages)
    assert all((desk.folder / path).read_text().startswith("---\n") for path in pages)
    assert all("Saffron" in (desk.folder / path).read_text() for path in pages)
    assert desk.memory.upkeep.sweep.plan(desk.project).ledgers == []
    desk.world.passes(days=900)
    assert desk.memory.upkeep.sweep.plan(desk.project).ledgers == ["log-2026-11.md"]


# Pages that expire


def test_a_page_leaves_search_when_it_expires_and_can_still_be_read(desk):
    desk.write("notes/a.md", "---\nexpires_at: 2026-11-20T12:00:00Z\n---\nCinnamon until noon.\n")
    before = desk.world.now
    assert desk.found("cinnamon") == ["notes/a.md"]
    desk.world.now = before.replace(hour=11, minute=59, second=59)
    assert desk.found("cinnamon") == ["notes/a.md"]
    desk.world.now = before.replace(hour=12, minute=0, second=0)
    assert desk.found("cinnamon") == []
    assert desk.memory.pages.read(desk.project, "notes/a.md").body == "Cinnamon until noon.\n"
    desk.world.passes(days=1)
    assert desk.found("cinnamon", at=before + timedelta(minutes=1)) == ["notes/a.md"]
    assert desk.found("cinnamon", at=before + timedelta(hours=5)) == []
    desk.write("notes/a.md", "---\ntitle: For ever\n---\nCinnamon for ever.\n")
    assert desk.found("cinnamon") == ["notes/a.md"]


# Secrets in what is said about a page


def test_what_a_commit_says_and_who_made_it_holds_no_secret(desk):
    desk.write("notes/a.md", "one", Fields(title=f"key {TOKEN}"))
    desk.write("notes/a.md", "two", reason=f"rotate {TOKEN}")
    first = desk.write("notes/a.md", "three", writer=Writer(user=TOKEN))
    desk.memory.pages.delete(desk.project, "notes/a.md", ANA, reason=f"leak {TOKEN}")
    desk.memory.pages.restore(desk.project, "notes/a.md", first.revision, Writer(agent=TOKEN))
    (desk.folder / "notes/b.md").write_text("x")
    desk.memory.pages.commit_all(f"manual {TOKEN}", ANA)
    (desk.folder / f"notes/{TOKEN}.md").write_text("x")
    os.utime(desk.folder / f"notes/{TOKEN}.md", (0, 0))
    desk.walks()
    log = desk.memory.stores.wiki.git._run("log", "--format=%an%n%ae%n%cn%n%B")
    assert TOKEN.lower() not in log.lower()
    assert log.count("[REDACTED:github-token]") >= 6


def test_a_path_that_holds_a_secret_is_refused_and_not_repeated(desk):
    with pytest.raises(BadPagePathError, match="looks like a secret") as refused:
        desk.write(f"notes/{TOKEN}.md")
    assert refused.value.status == 422
    assert TOKEN not in str(refused.value)
    assert desk.in_git() == set()


def test_a_name_that_holds_a_secret_is_refused_and_not_repeated(desk):
    name = f"key-{SLACK}"
    for attempt in (
        lambda: desk.memory.moves.rename_project(desk.project, name),
        lambda: desk.memory.moves.rename_workspace("default", name),
        lambda: desk.memory.moves.move_project(desk.project, name, confirm=True),
        lambda: desk.memory.projects.create("default", name),
    ):
        with pytest.raises(BadNameError, match="looks like a secret") as refused:
            attempt()
        assert SLACK not in str(refused.value)
