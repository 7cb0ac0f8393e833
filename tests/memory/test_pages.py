"""Pages through the gate: what is written, refused, deleted, brought back; and the index that follows the files."""

import re
import subprocess
import threading
import time
from datetime import timedelta

import pytest

from ai_memory.errors import BadRequestError, NotFoundError, TooLargeError
from ai_memory.memory.pages import Fields, PageChangedError, PageDeletedError, PathCollisionError, Writer
from ai_memory.model.filters import Filters
from ai_memory.model.page import CONFLICT, BadPagePathError
from ai_memory.model.scope import Routing
from tests.mirror import assert_rebuild_is_equal

ANA = Writer(agent="claude-code", user="ana")
NOTHING = Fields()


@pytest.fixture
def wiki(world):
    return Desk(world)


class Desk:
    """One project and what is done with its pages."""

    def __init__(self, world):
        self.world = world
        self.project = self.memory.projects.ensure(Routing(cwd="/srv/shop", repo_root="/srv/shop")).project

    @property
    def memory(self):
        return self.world.memory

    @property
    def folder(self):
        return self.memory.stores.wiki.folder(self.project)

    def write(self, path, body="Text.", fields=NOTHING, **options):
        self.world.passes(minutes=1)
        return self.memory.pages.write(self.project, path, body, fields, ANA, **options)

    def delete(self, path):
        self.world.passes(minutes=1)
        return self.memory.pages.delete(self.project, path, ANA)

    def read(self, path, **when):
        return self.memory.pages.read(self.project, path, **when)

    def found(self, text, **when):
        return [hit.path for hit in self.memory.recall.search(text, [self.project], **when)]

    def edit(self, path, text):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.memory.outside.changed([file])

    def subjects(self):
        return [commit.subject for commit in self.memory.pages.checkpoints(100)]

    def reopen(self):
        self.world.close()
        self.world.open()
        self.memory.close()
        self.world.memory = None


def test_a_written_page_is_found_read_and_in_git(wiki):
    written = wiki.write("decisions/rounding.md", "# Rounding\n\nRound per invoice.\n", Fields(tags=["money"]))
    assert (written.created, written.changed) == (True, True)
    view = wiki.read("decisions/rounding.md")
    assert (view.title, view.kind, view.front["type"], view.front["tags"]) == (
        "Rounding",
        "decision",
        "Decision",
        ["money"],
    )
    assert wiki.found("invoice") == ["decisions/rounding.md"]
    (newest, *_) = wiki.memory.pages.checkpoints(1)
    assert newest.oid == written.revision
    assert newest.author == ("ana, Claude Code", "claude-code@local")
    assert newest.subject == "write-page default/shop: decisions/rounding.md — Rounding"


def test_the_commit_says_why_in_its_subject(wiki):
    def said():
        command = ["git", "log", "-1", "--format=%s%n%b"]
        done = subprocess.run(command, cwd=wiki.memory.stores.wiki.root, capture_output=True, text=True, check=True)
        subject, body = done.stdout.split("\n", 1)
        return subject, body.strip()

    about = "write-page default/shop: notes/a.md"
    for reason in ("shop", "notes/a.md", "because of\nthe tests"):
        wiki.write("notes/a.md", f"For {reason}.", reason=reason)
        assert said() == (f"{about} — {' '.join(reason.split())}", "")
    wiki.write("notes/a.md", "Once more.", reason=about)
    assert said() == (about, "")
    long = "the auditors asked for it " * 5
    wiki.write("notes/a.md", "Again.", reason=long)
    assert said() == (f"{about} — {long}"[:99].rstrip() + "…", long.strip())
    wiki.write("notes/a.md", "And again.", Fields(title="No news"))
    assert said() == (about, "")
    deep = f"notes/{'x' * 80}.md"
    wiki.write(deep, "One.", reason="deep")
    assert said() == (f"write-page default/shop: {deep}", "deep")


def test_a_reason_keeps_no_secret(wiki):
    token = "ghp_" + "a1B2" * 9
    wiki.write("notes/a.md", "One.", reason=f"token {token}")
    (newest,) = wiki.memory.pages.checkpoints(1)
    assert token not in newest.subject
    assert newest.subject.startswith("write-page default/shop: notes/a.md — token ")


@pytest.mark.parametrize(
    ("there", "new", "why"),
    [
        ("notes/a.md", "notes/A.md", "differ only in letter case or Unicode form"),
        ("x.md/a.md", "x.md", "a folder of that name holds x.md/a.md"),
        ("x.md", "x.md/a.md", "x.md is a page, where its folder would be"),
        ("decisions/a.md", "Decisions/b.md", "the folder is spelled decisions/ here"),
        ("a/Deep/x.md", "a/deep/y.md", "the folder is spelled a/Deep/ here"),
    ],
)
def test_names_that_cannot_be_kept_apart_are_refused_with_the_reason(wiki, there, new, why):
    wiki.write(there, "One.")
    with pytest.raises(PathCollisionError, match=re.escape(why)):
        wiki.write(new, "Two.")


def test_writing_the_same_again_makes_no_commit(wiki):
    first = wiki.write("notes/a.md", "One.")
    again = wiki.write("notes/a.md", "One.")
    assert (again.changed, again.revision) == (False, first.revision)


def test_a_conditional_write_is_refused_with_both_sides(wiki):
    first = wiki.write("notes/a.md", "One.")
    second = wiki.write("notes/a.md", "Two.", expected=first.revision)
    with pytest.raises(PageChangedError, match="was changed by ana, Claude Code") as refused:
        wiki.write("notes/a.md", "Three.", expected=first.revision)
    assert refused.value.details["current"]["revision"] == second.revision
    assert refused.value.details["current"]["text"].endswith("Two.")
    assert refused.value.details["yours"] == {"expected_revision": first.revision, "text": "Three."}
    with pytest.raises(PageChangedError, match="exists already"):
        wiki.write("notes/a.md", "Three.", create_only=True)
    with pytest.raises(PageChangedError, match="not there any more"):
        wiki.write("notes/b.md", "New.", expected=first.revision)
    assert wiki.write("notes/b.md", "New.", create_only=True).created
    with pytest.raises(BadRequestError, match="not a revision"):
        wiki.write("notes/a.md", "Three.", expected="HEAD")


def test_an_edit_from_outside_has_a_revision_by_the_time_a_writer_is_refused_for_it(wiki):
    first = wiki.write("notes/a.md", "One.")
    wiki.edit("notes/a.md", "By hand.")
    with pytest.raises(PageChangedError, match="was changed by outside edit") as refused:
        wiki.write("notes/a.md", "Mine.", expected=first.revision)
    seen = refused.value.details["current"]
    assert seen["text"] == "By hand."
    assert wiki.write("notes/a.md", "Merged.", expected=seen["revision"]).changed


def test_of_a_hundred_writers_who_saw_the_same_revision_one_wins(wiki):
    first = wiki.write("notes/a.md", "Start.")
    outcomes = []

    def write(number):
        try:
            wiki.memory.pages.write(wiki.project, "notes/a.md", f"By {number}.", NOTHING, ANA, expected=first.revision)
            outcomes.append("won")
        except PageChangedError:
            outcomes.append("lost")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["lost"] * 99 + ["won"]
    on_disk = (wiki.folder / "notes/a.md").read_text()
    assert wiki.read("notes/a.md").text == on_disk
    assert wiki.memory.stores.wiki.git.dirty() == set()


def test_in_a_folder_that_somebody_else_made_in_two_spellings_pages_go_on_in_either(wiki):
    wiki.write("notes/deep/a.md", "One.")
    wiki.edit("Notes/deep/b.md", "Two.\n")
    for path in ("notes/deep/a.md", "notes/deep/new.md", "Notes/deep/b.md", "Notes/deep/other.md"):
        assert wiki.write(path, "Written.").changed
    for path in ("Notes/deep/A.md", "notes/deep/B.md", "NOTES/x.md", "notes/Deep/x.md", "Notes/deep/a.md/x.md"):
        with pytest.raises(PathCollisionError):
            wiki.write(path, "Refused.")


@pytest.mark.parametrize("other", ["Notes/a.md", "notes/A.md", "NOTES/B.md", "notes/a.md/x.md"])
def test_names_that_some_system_takes_for_one_are_refused(wiki, other):
    wiki.write("notes/a.md")
    with pytest.raises((PathCollisionError, BadPagePathError)):
        wiki.write(other)


def test_unicode_forms_of_one_name_are_one_page(wiki):
    wiki.write("notes/caf\u00e9.md", "One.")
    wiki.write("notes/cafe\u0301.md", "Two.")
    assert [row.path for row in wiki.memory.stores.pages.pages(wiki.project.id)] == ["notes/caf\u00e9.md"]


@pytest.mark.parametrize(
    "path",
    ["../x.md", "/etc/x.md", "a\\b.md", "notes/x", "notes/con.md", "notes/x /y.md", "_meta.md", "log-2026-11.md",
     "_pending/x.md", "notes//x.md", "notes/.git/x.md", "C:/x.md", "a" * 300 + ".md"],
)  # fmt: skip
def test_a_path_that_is_not_portable_or_reserved_is_refused(wiki, path):
    with pytest.raises(BadPagePathError) as refused:
        wiki.write(path)
    assert refused.value.status == 422


def test_a_page_that_is_too_large_is_refused_and_leaves_nothing(wiki):
    with pytest.raises(TooLargeError, match="at most 1024 KiB"):
        wiki.write("notes/big.md", "word " * 1_000_000)
    assert not (wiki.folder / "notes").exists()


def test_a_deleted_page_leaves_search_and_comes_back_only_on_request(wiki):
    first = wiki.write("notes/a.md", "Cinnamon.")
    oid = wiki.delete("notes/a.md")
    assert oid
    assert wiki.found("cinnamon") == []
    with pytest.raises(NotFoundError, match="was deleted on"):
        wiki.read("notes/a.md")
    with pytest.raises(PageDeletedError, match="say `revive`"):
        wiki.write("notes/a.md", "Again.")
    assert wiki.delete("notes/a.md") == ""
    restored = wiki.memory.pages.restore(wiki.project, "notes/a.md", first.revision, ANA)
    assert restored.created
    assert wiki.read("notes/a.md").body.strip() == "Cinnamon."
    wiki.delete("notes/a.md")
    assert wiki.write("notes/a.md", "Nutmeg.", revive=True).created
    assert wiki.found("nutmeg") == ["notes/a.md"]


def test_how_often_a_page_was_edited_is_nothing_to_its_rank(wiki, world):
    for number in range(8):
        wiki.write(f"notes/{number}.md", f"# Other\n\nThe other one, number {number}.\n")
    wiki.write("notes/rival.md", "# Rival\n\nSomething else that has nothing to do with it, at the harbour.\n")
    for number in range(25):
        wiki.write("notes/plan.md", f"# Zeppelin plan\n\nThe zeppelin lands, {number} of them.\n")
    asked = "zeppelin plan lands harbour"
    hits = wiki.memory.recall.search(asked, [wiki.project])
    assert [hit.path for hit in hits] == ["notes/plan.md", "notes/rival.md"]
    world.close()
    for file in (world.data / "db").glob("index.db*"):
        file.unlink()
    world.open()
    assert wiki.memory.recall.search(asked, [wiki.project]) == hits


def test_a_former_version_that_is_brought_back_is_searched_as_the_page(wiki):
    first = wiki.write("notes/a.md", "Cinnamon.")
    there = wiki.world.now
    wiki.write("notes/a.md", "Nutmeg.")
    after = wiki.world.now
    wiki.world.passes(minutes=1)
    assert (wiki.found("cinnamon"), wiki.found("nutmeg")) == ([], ["notes/a.md"])
    wiki.memory.pages.restore(wiki.project, "notes/a.md", first.revision, ANA)
    assert (wiki.found("cinnamon"), wiki.found("nutmeg")) == (["notes/a.md"], [])
    assert (wiki.found("cinnamon", at=there), wiki.found("nutmeg", at=after)) == (["notes/a.md"], ["notes/a.md"])
    assert wiki.found("cinnamon", at=after) == []
    assert_rebuild_is_equal(wiki.world.data, wiki.reopen)


def test_paths_narrow_former_pages_before_the_best_are_taken(wiki):
    wiki.write("notes/best.md", "# Cinnamon\n\nCinnamon.\n")
    wiki.write("plans/a.md", "# Plan\n\nSome other time we might buy cinnamon, too.\n")
    wiki.write("plans/b.md", "# Plan\n\nSome other time we might buy cinnamon or even nutmeg, too.\n")
    there = wiki.world.now
    wiki.world.passes(minutes=1)
    wiki.write("plans/a.md", "# Plan\n\nNutmeg.\n")

    def best(*paths):
        asked = {"now": wiki.world.now, "at": there, "filters": Filters(paths=paths)}
        return [found.path for found in wiki.memory.stores.page_search.find('"cinnamon"', [], 1, **asked)]

    assert [best(), best("plans/"), best("plans/b*"), best("gotchas/")] == [
        ["notes/best.md"],
        ["plans/a.md"],
        ["plans/b.md"],
        [],
    ]


def test_every_page_can_be_read_as_it_was_on_any_day(wiki):
    first = wiki.write("notes/a.md", "Monday.")
    monday = wiki.world.now
    wiki.world.passes(days=1)
    second = wiki.write("notes/a.md", "Tuesday.")
    wiki.world.passes(days=1)
    wiki.delete("notes/a.md")
    assert wiki.read("notes/a.md", at=monday + timedelta(hours=1)).body.strip() == "Monday."
    assert wiki.read("notes/a.md", revision=second.revision[:10]).body.strip() == "Tuesday."
    assert wiki.found("monday", at=monday + timedelta(hours=1)) == ["notes/a.md"]
    assert wiki.found("monday") == []
    with pytest.raises(NotFoundError):
        wiki.read("notes/a.md", at=monday - timedelta(days=1))
    history = wiki.memory.pages.history(wiki.project, "notes/a.md")
    assert [(version.revision, bool(version.blob)) for version in history][1:] == [
        (second.revision, True),
        (first.revision, True),
    ]
    assert not history[0].blob
    assert "-Monday.\n" in wiki.memory.pages.diff(wiki.project, "notes/a.md", first.revision, second.revision)


def test_links_lead_back_and_resolve_when_their_target_comes(wiki):
    wiki.write("notes/a.md", "See [[decisions/b]] and [[default/other:notes/c.md|over there]].")
    assert [target.exists for target in wiki.read("notes/a.md").links] == [False, False]
    assert wiki.memory.pages.count_unresolved() == 2
    wiki.write("decisions/b.md", "# Because\n")
    (backlink,) = wiki.read("decisions/b.md").backlinks
    assert (backlink.path, backlink.title) == ("notes/a.md", "a")
    other = wiki.memory.projects.ensure(Routing(cwd="/srv/other", repo_root="/srv/other")).project
    wiki.memory.pages.write(other, "notes/c.md", "C.", NOTHING, ANA)
    assert [target.exists for target in wiki.read("notes/a.md").links] == [True, True]
    assert wiki.memory.pages.count_unresolved() == 0


def test_of_many_pages_that_link_to_one_the_first_are_listed_and_all_are_counted(wiki):
    for number in range(120):
        wiki.edit(f"notes/{number:03}.md", f"# Page {number}\nSee [[hub]] and again [[default/shop:hub.md]].\n")
    wiki.edit("hub.md", "About [[hub]] itself and [[notes/000]].\n")
    hub = wiki.read("hub.md")
    assert hub.backlink_count == 120
    assert [(each.path, each.title) for each in hub.backlinks] == [
        (f"notes/{number:03}.md", f"Page {number}") for number in range(100)
    ]
    assert wiki.memory.pages.traces(wiki.project, "hub.md") == (True, 0, 120)
    other = wiki.memory.projects.ensure(Routing(cwd="/srv/other", repo_root="/srv/other")).project
    wiki.memory.pages.write(other, "a.md", "[[hub]], [[shop:hub.md]] and [[shop:nowhere]].", NOTHING, ANA)
    assert wiki.read("hub.md").backlink_count == 121
    assert wiki.memory.pages.count_unresolved() == 2


def test_two_large_texts_are_compared_by_git(wiki):
    lines = [f"Line {number} of a long page." for number in range(30_000)]
    first = wiki.write("notes/a.md", "\n".join(lines))
    second = wiki.write("notes/a.md", "\n".join([*lines[::2], "no newline"]))
    started = time.monotonic()
    diff = wiki.memory.pages.diff(wiki.project, "notes/a.md", first.revision, second.revision)
    assert time.monotonic() - started < 3
    assert diff.startswith(f"--- notes/a.md@{first.revision[:12]}\n+++ notes/a.md@{second.revision[:12]}\n@@ -2,")
    assert diff.count("\n-Line") == 15_000
    assert wiki.memory.pages.diff(wiki.project, "notes/a.md", second.revision, "") == ""
    wiki.edit("notes/a.md", (wiki.folder / "notes/a.md").read_text().replace("no newline", "one\n"))
    assert wiki.memory.pages.diff(wiki.project, "notes/a.md", second.revision, "").splitlines()[1] == "+++ notes/a.md"


def test_a_version_that_changes_nothing_is_none(wiki):
    for text in ("One.", "Two.", "One."):
        wiki.write("notes/a.md", text)
    wiki.delete("notes/a.md")
    history = wiki.memory.pages.history(wiki.project, "notes/a.md")
    assert [bool(version.blob) for version in history] == [False, True, True, True]
    assert wiki.memory.pages.history(wiki.project, "notes/a.md", 2) == history[:2]
    assert wiki.memory.pages.traces(wiki.project, "notes/a.md") == (False, 3, 0)


# Automatic writers


def take_over(wiki, path, how):
    if how == "edited by hand":
        wiki.edit(path, (wiki.folder / path).read_text() + "\nMy own words.\n")
    elif how == "edited without the watcher":
        (wiki.folder / path).write_text((wiki.folder / path).read_text() + "\nMy own words.\n")
    elif how == "written by an agent":
        wiki.write(path, "My own words.")
    elif how == "pinned":
        wiki.edit(path, (wiki.folder / path).read_text().replace("tier: episodic", "tier: episodic\npinned: true"))
    elif how == "deleted":
        wiki.delete(path)


@pytest.mark.parametrize(
    "how", ["edited by hand", "edited without the watcher", "written by an agent", "pinned", "deleted"]
)
def test_a_checkpoint_leaves_a_page_alone_that_somebody_has_taken_over(wiki, how):
    session = "11111111-2222-4333-8444-555555555555"
    wiki.world.works(session)
    wiki.memory.sessions.settle()
    path = f"sessions/{session}.md"
    take_over(wiki, path, how)
    file = wiki.folder / path
    before = file.read_text() if file.exists() else None
    wiki.world.says(session, "user-prompt", prompt="And now the discount.")
    wiki.world.says(session, "session-end")
    wiki.memory.sessions.settle()
    assert (file.read_text() if file.exists() else None) == before
    assert wiki.memory.stores.index.unfinished() == []
    assert any(key.startswith("left alone") for key in wiki.memory.pages.meter.report())


# Outside


def test_an_edit_from_outside_is_found_and_committed_as_such_before_our_own_write(wiki):
    wiki.write("notes/a.md", "One.")
    wiki.edit("notes/a.md", "---\ntype: Note\n---\nBy hand: saffron.\n")
    assert wiki.found("saffron") == ["notes/a.md"]
    wiki.write("notes/a.md", "Ours.")
    assert wiki.subjects()[:2] == ["write-page default/shop: notes/a.md", "outside edit default/shop: notes/a.md"]
    assert wiki.memory.pages.history(wiki.project, "notes/a.md")[1].author == "outside edit"


def test_an_edit_is_found_by_the_pass_when_the_watch_missed_it_and_committed_when_it_is_quiet(wiki):
    (wiki.folder / "notes").mkdir(parents=True)
    (wiki.folder / "notes/new.md").write_text("Cardamom.")
    wiki.memory.outside.reconcile()
    assert wiki.found("cardamom") == ["notes/new.md"]
    wiki.world.now = wiki.world.now.replace(year=2099)
    wiki.memory.outside.reconcile()
    assert wiki.subjects()[0] == "outside edit default/shop: notes/new.md"
    assert wiki.memory.stores.wiki.git.dirty() == set()


def test_a_deleted_file_leaves_search_at_the_second_pass(wiki):
    wiki.write("notes/a.md", "Fennel.")
    wiki.write("notes/b.md", "Dill.")
    (wiki.folder / "notes/a.md").unlink()
    wiki.memory.outside.reconcile()
    assert wiki.found("fennel") == ["notes/a.md"]
    wiki.memory.outside.reconcile()
    assert wiki.found("fennel") == []
    assert wiki.subjects()[0] == "outside delete default/shop: notes/a.md"


def test_when_most_files_vanish_nothing_is_taken_for_deleted(wiki):
    for number in range(8):
        wiki.write(f"notes/{number}.md", f"Page number {number}, anise.")
    for number in range(6):
        (wiki.folder / f"notes/{number}.md").unlink()
    for _ in range(3):
        wiki.memory.outside.reconcile()
    assert len(wiki.found("anise")) == 8
    assert len(wiki.memory.outside.suspicious[wiki.project.id]) == 6


def test_a_file_put_back_where_a_page_was_deleted_stays_out(wiki):
    wiki.write("notes/a.md", "Sorrel.")
    old = (wiki.folder / "notes/a.md").read_text()
    wiki.delete("notes/a.md")
    wiki.edit("notes/a.md", old)
    wiki.memory.outside.reconcile()
    assert wiki.found("sorrel") == []
    assert wiki.memory.indexing.ignored == {(wiki.project.id, "notes/a.md")}


def test_conflict_markers_are_not_searched_and_not_committed(wiki):
    wiki.write("notes/a.md", "One.")
    wiki.edit("notes/a.md", "<<<<<<< HEAD\nTarragon.\n=======\nChervil.\n>>>>>>> other\n")
    assert wiki.found("tarragon") == []
    assert wiki.memory.pages.commit_outside(wiki.project) == ""
    assert [problem for _, _, problem in wiki.memory.stores.pages.problems()] == [CONFLICT]


def test_a_damaged_a_huge_and_a_linked_page_have_defined_outcomes(wiki, tmp_path):
    wiki.edit("notes/latin.md", "Caf\xe9 au lait, marjoram.".encode("latin-1"))
    wiki.edit("notes/huge.md", "Lovage. " + "word " * 1_100_000)
    secret = tmp_path / "outside.md"
    secret.write_text("Valerian.")
    (wiki.folder / "notes/link.md").symlink_to(secret)
    wiki.memory.outside.reconcile()
    assert wiki.found("marjoram") == ["notes/latin.md"]
    assert wiki.found("lovage") == ["notes/huge.md"]
    assert wiki.found("valerian") == []
    problems = {path: problem for _, path, problem in wiki.memory.stores.pages.problems()}
    assert problems["notes/latin.md"].startswith("not UTF-8")
    assert problems["notes/huge.md"].startswith("larger than 1 MiB")


def test_a_secret_in_a_page_of_a_person_is_not_shown(wiki):
    token = "ghp_" + "q1W2e3R4t5" * 3 + "Y6u7I8"
    wiki.edit("notes/a.md", f"The token {token} and coriander\n")
    assert token not in wiki.read("notes/a.md").text
    (hit,) = wiki.memory.recall.search("coriander")
    assert token not in hit.snippet


# The index


def test_the_index_made_anew_from_the_files_is_the_same(wiki):
    wiki.world.works("11111111-2222-4333-8444-555555555555")
    wiki.world.says("11111111-2222-4333-8444-555555555555", "session-end")
    wiki.world.works("11111111-2222-4333-8444-666666666666", cwd="/srv/other", answer="Nothing yet.")
    wiki.memory.sessions.settle()
    for number in range(25):
        wiki.write("notes/often.md", f"Version {number} links to [[notes/{number}]].")
    wiki.write("notes/gone.md", "Soon deleted.")
    wiki.delete("notes/gone.md")
    wiki.edit("notes/outside.md", "By hand.\r\n")
    wiki.memory.outside.reconcile()
    data = wiki.world.data
    wiki.world.close()
    assert_rebuild_is_equal(data, wiki.reopen)


def test_a_damaged_index_is_made_anew_and_said_so(wiki):
    wiki.write("notes/a.md", "Turmeric.")
    wiki.world.close()
    file = wiki.world.data / "db" / "index.db"
    file.write_bytes(b"not a database" * 1000)
    wiki.world.open()
    assert wiki.found("turmeric") == ["notes/a.md"]
    assert wiki.memory.stores.rebuilt == "it was damaged"
