"""Merges, pulls and rewritten branches: a page's history is what this wiki held, whatever was done beside it."""

import os
import subprocess
from datetime import UTC, datetime

import pytest

from ai_memory.errors import NotFoundError
from ai_memory.memory.pages import Fields, PageChangedError, Writer
from ai_memory.model.scope import Routing
from tests.mirror import assert_rebuild_is_equal

ANA = Writer(user="ana")
NOTHING = Fields()


class Clones:
    """One wiki, and a clone of it in which a person works."""

    def __init__(self, world, tmp_path):
        self.world = world
        self.laptop = tmp_path / "laptop"
        self.project = self.memory.projects.ensure(Routing(cwd="/srv/shop", repo_root="/srv/shop")).project
        self.root = self.memory.stores.wiki.root
        self.folder = self.memory.stores.wiki.folder(self.project)

    @property
    def memory(self):
        return self.world.memory

    def git(self, *arguments, cwd=None, fails=False):
        who = {f"GIT_{role}_{part}": "ann@x.org" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
        when = {f"GIT_{role}_DATE": self.world.now.isoformat() for role in ("AUTHOR", "COMMITTER")}
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd or self.root,
            env={**os.environ, **who, **when, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_EDITOR": "true"},
            capture_output=True,
            text=True,
        )
        assert bool(done.returncode) == fails, done.stderr
        return done.stdout.strip()

    def at(self, hour, minute=0):
        self.world.now = datetime(2026, 11, 20, hour, minute, tzinfo=UTC)

    def write(self, path, text):
        return self.memory.pages.write(self.project, path, text, NOTHING, ANA)

    def clone(self):
        self.git("clone", "-q", str(self.root), str(self.laptop), cwd=self.root.parent)

    def edit(self, files, subject="laptop"):
        """Commit files in the clone; None deletes one. Gives the commit."""
        for path, text in files.items():
            file = self.laptop / self.folder.relative_to(self.root) / path
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"{text}\n")
        self.git("add", "-A", cwd=self.laptop)
        self.git("commit", "-q", "-m", subject, cwd=self.laptop)
        return self.git("rev-parse", "HEAD", cwd=self.laptop)

    def pull(self, *options, fails=False):
        self.git("pull", "-q", "--no-rebase", "--no-edit", *options, str(self.laptop), "main", fails=fails)

    def settle(self):
        """Let the passes go by; nothing is missing or uncommitted afterwards."""
        self.world.now = datetime(2099, 1, 1, tzinfo=UTC)
        for _ in range(3):
            self.memory.outside.reconcile()

    def body(self, path, **when):
        return self.memory.pages.read(self.project, path, **when).body.strip()

    def subjects(self, path):
        return [version.subject for version in self.memory.pages.history(self.project, path)]

    def newest(self):
        """Give what the index says that git has: page -> content's id."""
        pages = self.memory.stores.pages
        paths = pages.committed_paths(self.project.id)
        return {path: pages.newest(self.project.id, path).blob for path in paths}

    def found(self, text, **when):
        return [hit.path for hit in self.memory.recall.search(text, [self.project], **when)]


@pytest.fixture
def wikis(world, tmp_path):
    """Two pages at nine, a clone, an edit of it at eleven, an edit here at twelve."""
    wikis = Clones(world, tmp_path)
    wikis.at(9)
    wikis.write("notes/a.md", "Zero.")
    wikis.write("notes/b.md", "Also zero.")
    wikis.clone()
    return wikis


def in_head(wikis):
    folder = wikis.folder.relative_to(wikis.root).as_posix()
    tree = wikis.memory.stores.wiki.git.tree("HEAD", folder)
    return {path.removeprefix(f"{folder}/"): blob for path, blob in tree.items() if not path.endswith("_meta.md")}


def assert_equal_everywhere(wikis):
    """The index says what HEAD has, nothing waits to be committed, and a rebuild says the same."""
    assert wikis.newest() == in_head(wikis)
    assert wikis.memory.stores.pages.uncommitted(wikis.project.id) == []
    data = wikis.world.data

    def reopen():
        wikis.world.open()
        wikis.world.close()

    wikis.world.close()
    assert_rebuild_is_equal(data, reopen)
    wikis.world.open()


def diverged(wikis):
    """Edit both sides; gives the laptop's commit and our last one."""
    wikis.at(11)
    theirs = wikis.edit({"notes/a.md": "From the laptop.", "notes/b.md": None, "notes/new.md": "New there."})
    wikis.at(12)
    wikis.write("notes/a.md", "Written at twelve.")
    ours = wikis.write("notes/b.md", "Also written at twelve.")
    wikis.at(13)
    return theirs, ours.revision


def test_a_merge_that_keeps_our_side_changes_no_page(wikis):
    _, ours = diverged(wikis)
    wikis.pull("-s", "ours")
    wikis.settle()
    assert wikis.memory.pages.meter.report().get("outside edits") is None
    assert wikis.memory.pages.read(wikis.project, "notes/b.md").version.revision == ours
    assert wikis.subjects("notes/b.md") == ["write-page default/shop: notes/b.md"] * 2
    assert wikis.memory.pages.write(wikis.project, "notes/b.md", "Next.", NOTHING, ANA, expected=ours).changed
    with pytest.raises(NotFoundError, match="never had a page"):
        wikis.memory.pages.history(wikis.project, "notes/new.md")
    assert_equal_everywhere(wikis)


def test_a_merge_that_takes_their_side_is_one_version_at_the_time_of_the_merge(wikis):
    _, ours = diverged(wikis)
    wikis.pull("-s", "recursive", "-X", "theirs", fails=True)
    wikis.git("rm", "-q", str(wikis.folder / "notes/b.md"))
    wikis.git("commit", "-q", "-m", "Take theirs")
    wikis.settle()
    assert wikis.body("notes/a.md") == "From the laptop."
    assert wikis.subjects("notes/a.md")[0] == "Take theirs"
    assert wikis.found("laptop", at=datetime(2026, 11, 20, 12, 30, tzinfo=UTC)) == []
    assert wikis.found("laptop", at=datetime(2026, 11, 20, 13, 0, tzinfo=UTC)) == ["notes/a.md"]
    with pytest.raises(PageChangedError, match=r"changed by ann@x\.org"):
        wikis.memory.pages.write(wikis.project, "notes/a.md", "Mine.", NOTHING, ANA, expected=ours)
    assert_equal_everywhere(wikis)


def test_a_conflict_that_was_resolved_is_a_version_of_its_own(wikis):
    diverged(wikis)
    wikis.pull(fails=True)
    (wikis.folder / "notes/a.md").write_text("---\ntype: Note\n---\nBoth of it.\n")
    wikis.git("add", "-A")
    wikis.git("commit", "-q", "-m", "Both")
    wikis.settle()
    assert wikis.body("notes/a.md") == "Both of it."
    assert wikis.subjects("notes/a.md") == [
        "Both",
        "write-page default/shop: notes/a.md",
        "write-page default/shop: notes/a.md",
    ]
    assert_equal_everywhere(wikis)


def test_a_page_that_was_renamed_in_the_clone_moves_here_with_the_merge(wikis):
    wikis.at(11)
    folder = wikis.laptop / wikis.folder.relative_to(wikis.root) / "notes"
    (folder / "a.md").rename(folder / "renamed.md")
    wikis.edit({})
    wikis.at(12)
    wikis.write("notes/a.md", "Zero.\n\nAnd more.")
    wikis.at(13)
    wikis.pull()
    wikis.settle()
    assert sorted(wikis.newest()) == ["notes/b.md", "notes/renamed.md"]
    assert wikis.body("notes/a.md", at=datetime(2026, 11, 20, 12, 30, tzinfo=UTC)).endswith("And more.")
    assert_equal_everywhere(wikis)


def test_time_travel_through_a_merge_shows_what_was_here_then(wikis):
    wikis.at(11)
    theirs = wikis.edit({"notes/c.md": "From the laptop."})
    wikis.at(12)
    wikis.write("notes/a.md", "Written at twelve.")
    wikis.at(13)
    wikis.pull()
    wikis.at(14)
    wikis.memory.outside.reconcile()
    half_past_eleven = datetime(2026, 11, 20, 11, 30, tzinfo=UTC)
    assert wikis.body("notes/a.md", at=half_past_eleven) == "Zero."
    assert wikis.found("twelve", at=half_past_eleven) == []
    assert wikis.found("laptop", at=half_past_eleven) == []
    assert wikis.found("laptop", at=datetime(2026, 11, 20, 13, 0, tzinfo=UTC)) == ["notes/c.md"]
    assert wikis.body("notes/c.md", revision=theirs) == "From the laptop."
    assert_equal_everywhere(wikis)


def test_a_commit_of_a_merged_branch_shows_its_own_side(wikis):
    theirs, _ = diverged(wikis)
    wikis.pull("-s", "ours")
    base = wikis.git("rev-parse", f"{theirs}^")
    wikis.settle()
    view = wikis.memory.pages.read(wikis.project, "notes/a.md", revision=theirs[:10])
    assert (view.body.strip(), view.version.revision, view.version.subject) == ("From the laptop.", theirs, "laptop")
    with pytest.raises(NotFoundError, match=f"had no page notes/b.md at revision {theirs}"):
        wikis.body("notes/b.md", revision=theirs)
    diff = wikis.memory.pages.diff(wikis.project, "notes/a.md", base, theirs)
    assert "\n+From the laptop.\n" in diff
    assert wikis.memory.pages.restore(wikis.project, "notes/new.md", theirs, ANA).created
    assert wikis.body("notes/new.md") == "New there."


def test_a_page_of_a_side_branch_has_the_version_that_wrote_it_there(wikis):
    wikis.at(10)
    first = wikis.edit({"notes/c.md": "Words."}, "wrote c")
    wikis.at(11)
    second = wikis.edit({"notes/d.md": "Other words."}, "wrote d")
    wikis.at(12)
    wikis.write("notes/a.md", "Written at twelve.")
    wikis.pull("-s", "ours")
    version = wikis.memory.pages.read(wikis.project, "notes/c.md", revision=second).version
    assert (version.revision, version.subject) == (first, "wrote c")


def test_what_was_purged_here_is_not_shown_from_a_branch_that_still_has_it(wikis):
    wikis.at(11)
    theirs = wikis.edit({"notes/b.md": "Secret of the laptop."})
    wikis.memory.purge.page(wikis.project, "notes/b.md", confirm=True)
    wikis.git("fetch", "-q", str(wikis.laptop), "main")
    with pytest.raises(NotFoundError):
        wikis.body("notes/b.md", revision=theirs)


def test_a_fast_forward_brings_each_commit_as_a_version(wikis):
    for hour in (10, 11, 12):
        wikis.at(hour)
        wikis.edit({"notes/a.md": f"At {hour}."}, f"at {hour}")
    wikis.pull("--ff-only")
    wikis.settle()
    assert wikis.subjects("notes/a.md")[:3] == ["at 12", "at 11", "at 10"]
    assert wikis.body("notes/a.md", at=datetime(2026, 11, 20, 11, 5, tzinfo=UTC)) == "At 11."
    assert_equal_everywhere(wikis)


def test_a_pull_of_a_clone_that_merged_us_into_itself_leaves_its_chain_as_the_history(wikis):
    diverged(wikis)
    wikis.git("pull", "-q", "--no-rebase", "--no-edit", "-s", "ours", str(wikis.root), "main", cwd=wikis.laptop)
    wikis.pull("--ff-only")
    wikis.settle()
    assert wikis.body("notes/a.md") == "From the laptop."
    assert wikis.subjects("notes/a.md") == ["laptop", "write-page default/shop: notes/a.md"]
    assert_equal_everywhere(wikis)


def test_an_octopus_is_one_version_of_every_page_that_it_brings(wikis):
    wikis.at(11)
    for name in ("one", "two"):
        wikis.git("checkout", "-q", "-b", name, "origin/main", cwd=wikis.laptop)
        wikis.edit({f"notes/{name}.md": name.title()}, name)
    wikis.at(12)
    wikis.write("notes/a.md", "Written at twelve.")
    wikis.git("fetch", "-q", str(wikis.laptop), "one:one", "two:two")
    wikis.at(13)
    wikis.git("merge", "-q", "-m", "All of it", "one", "two")
    wikis.settle()
    assert (wikis.subjects("notes/one.md"), wikis.subjects("notes/two.md")) == (["All of it"], ["All of it"])
    assert_equal_everywhere(wikis)


def test_a_revert_of_a_merge_takes_back_what_it_brought(wikis):
    wikis.at(11)
    wikis.edit({"notes/a.md": "From the laptop.", "notes/new.md": "New there."})
    wikis.at(12)
    wikis.write("notes/b.md", "Written at twelve.")
    wikis.pull()
    wikis.memory.outside.reconcile()
    wikis.at(13)
    wikis.git("revert", "-m", "1", "--no-edit", "HEAD")
    wikis.settle()
    assert wikis.body("notes/a.md") == "Zero."
    assert sorted(wikis.newest()) == ["notes/a.md", "notes/b.md"]
    assert_equal_everywhere(wikis)


@pytest.mark.parametrize(
    "how",
    [
        ("reset", "--hard", "-q", "HEAD~2"),
        ("reset", "--soft", "HEAD~2"),
        ("commit", "--amend", "-q", "-m", "amended"),
        ("rebase", "-q", "--force-rebase", "HEAD~2"),
    ],
    ids=" ".join,
)
def test_a_branch_that_a_person_moved_is_read_anew(wikis, how):
    for hour in (10, 11, 12):
        wikis.at(hour)
        wikis.write("notes/a.md", f"At {hour}.")
    wikis.write("notes/new.md", "New.")
    wikis.at(13)
    wikis.git(*how)
    wikis.settle()
    assert_equal_everywhere(wikis)


def test_a_moved_branch_leaves_no_text_behind_that_its_history_has_not(wikis):
    wikis.write("notes/a.md", "Cinnamon.")
    wikis.write("notes/a.md", "Zero again.")
    wikis.world.passes(minutes=1)
    wikis.git("reset", "--soft", "HEAD~2")
    wikis.memory.outside.reconcile()
    texts = wikis.memory.stores.database.all("SELECT count(*) FROM texts WHERE path = 'notes/a.md'")
    assert texts == [(2,)]
