"""Records: kept as pages, one narrative a project, connected, brought in from files; and what the index knows of them."""

import threading
from datetime import timedelta

import pytest

from ai_memory.config import load_settings
from ai_memory.errors import BadRequestError, NotFoundError, TooLargeError
from ai_memory.memory.memory import Memory
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.page import parsed
from ai_memory.model.record import BadRecordError, Connection, record_of
from ai_memory.model.scope import BadNameError
from ai_memory.store.transcripts import Transcripts
from tests.memory.conftest import older_index
from tests.mirror import assert_rebuild_is_equal

ANA = Writer(agent="claude-code", user="ana")
NOWHERE = "f" * 32


class Desk:
    """One data directory, and who keeps records in it."""

    def __init__(self, world):
        self.world = world

    @property
    def records(self):
        return self.world.memory.records

    def store(self, content="Use WAL mode.", project="atlas", type_="note", **fields):
        self.world.passes(seconds=1)
        return self.records.store(project, ANA, **{"type_": type_, "content": content, "importance": 5, **fields}).uuid

    def narrative(self, content, project="atlas", **fields):
        return self.store(content, project, "narrative", **fields)

    def found(self, query, project="", type_="", limit=10):
        home = self.records.find(project).project if project else None
        return [each.record.content for each in self.records.search(query, home, type_, limit)]

    def recent(self, project="", type_="", limit=10):
        home = self.records.find(project).project if project else None
        return [each.record.content for each in self.records.recent(home, type_, limit)]

    def project(self, name="atlas"):
        return self.records.find(name).project

    def folder(self, name="atlas"):
        return self.world.memory.projects.folder(self.project(name))

    def files(self, name="atlas"):
        folder = self.folder(name)
        return {
            file.relative_to(folder).as_posix(): record_of(parsed(file.name, file.read_text()))
            for file in folder.rglob("*.md")
            if file.name != "_meta.md"
        }

    def labels(self):
        return sorted(each.label for each in self.world.memory.projects.all())

    def bring(self, *files, dry_run=False):
        named = [(file["uuid"], file) for file in files]
        return [each.did for each in self.records.bring_in(named, ANA, dry_run=dry_run)]


@pytest.fixture
def desk(world):
    return Desk(world)


def file_of(number, content="Old.", at="2026-01-15T09:30:00", **fields):
    return {
        "uuid": f"{number:032x}",
        "type": "note",
        "content": content,
        "project": "atlas",
        "created_at": at,
        **fields,
    }


# Keeping


def test_a_record_is_a_page_that_git_and_every_search_know(desk):
    uuid = desk.store("Use WAL mode.", tags="decision, sqlite", session_id="7a1f", transcript_ref=["~/a.jsonl"])
    memory, project = desk.world.memory, desk.project()
    page = memory.pages.read(project, f"notes/records/{uuid}.md")
    assert (page.title, page.kind, page.body, page.version.author) == (
        "Use WAL mode.",
        "note",
        "Use WAL mode.\n",
        "ana, Claude Code",
    )
    assert [hit.path for hit in memory.recall.search("WAL", [project])] == [page.path]
    assert desk.world.subjects() == [f"store-record default/atlas: {uuid}"]
    found = desk.records.get(uuid)
    assert (found.project, found.record.tags, found.record.session_id, found.record.transcripts) == (
        project,
        ("decision", "sqlite"),
        "7a1f",
        ("~/a.jsonl",),
    )
    assert found.record.created_at == desk.world.now


def test_a_page_that_somebody_edits_is_the_record_as_it_reads_then(desk):
    uuid = desk.store()
    file = desk.folder() / f"notes/records/{uuid}.md"
    file.write_text(file.read_text().replace("importance: 5", "importance: 9").replace("WAL mode.\n", "rollback.\n"))
    desk.world.memory.outside.changed([file])
    found = desk.records.get(uuid).record
    assert (found.importance, found.content) == (9, "Use rollback.")
    assert (desk.found("rollback"), desk.found("WAL")) == (["Use rollback."], [])
    file.write_text("Something else.\n")
    desk.world.memory.outside.changed([file])
    with pytest.raises(NotFoundError, match="there is no record"):
        desk.records.get(uuid)


def test_what_somebody_added_to_a_page_stays_when_its_record_changes(desk):
    one, two = desk.narrative("# One\n\nFirst."), desk.store("two")
    file = desk.folder() / "narrative.md"
    file.write_text(file.read_text().replace("importance: 5", "importance: 5  # mine\nowner: ana"))
    desk.world.memory.outside.changed([file])
    desk.records.connect(one, two, "related_to", ANA)
    desk.records.delete(two, ANA)
    desk.narrative("Two.")
    text = (desk.folder() / f"narratives/{one}.md").read_text()
    assert "importance: 5  # mine\nowner: ana\n" in text
    assert desk.records.get(one).record.connections == ()


def test_secrets_are_in_no_field_of_a_record(desk):
    key = "AKIAIOSFODNN7EXAMPLE"
    uuid = desk.store(f"{key} is the key", session_id=key, tags=f"{key}, b", transcript_ref=[key])
    record = desk.records.get(uuid).record
    mark = "[REDACTED:aws-access-key]"
    assert (record.content, record.session_id, record.tags, record.transcripts) == (
        f"{mark} is the key",
        mark,
        (mark, "b"),
        (mark,),
    )
    assert key not in (desk.folder() / f"notes/records/{uuid}.md").read_text()


def test_who_says_the_same_again_within_the_hour_has_said_it(desk):
    text = "x" * 100
    first = desk.store(text + "one")
    again = desk.records.store("Atlas", ANA, type_="note", content=text + "two", importance=1)
    assert (again.uuid, again.is_new, again.scope.project.label) == (first, False, "default/atlas")
    others = {desk.store(text, type_="session_log"), desk.store(text, project="other"), desk.store("y" + text)}
    assert first not in others
    desk.world.now = desk.records.get(first).record.created_at + timedelta(hours=1) - timedelta(seconds=2)
    assert desk.store(text) == first
    assert desk.store(text) != first


def test_an_hour_is_an_hour_also_over_midnight(desk):
    desk.world.now = desk.world.now.replace(hour=23, minute=59, second=50)
    first = desk.store()
    desk.world.passes(minutes=5)
    assert desk.store() == first
    desk.world.passes(minutes=56)
    assert desk.store() != first


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"content": " \n"}, BadRecordError),
        ({"content": "x" * 1024 * 1024}, TooLargeError),
        ({"type_": "thought"}, BadRecordError),
        ({"importance": 11}, BadRecordError),
        ({"connections": [Connection(NOWHERE, "related_to")]}, NotFoundError),
        ({"connections": [Connection(NOWHERE, "likes")]}, BadRecordError),
        ({"project": "Not a name"}, BadNameError),
        ({"project": "new/Not a name"}, BadNameError),
        ({"type_": "narrative", "project": ""}, BadRecordError),
        ({"type_": "narrative", "content": "x" * 1024 * 1024}, TooLargeError),
    ],
)
def test_what_cannot_be_kept_makes_nothing(desk, fields, error):
    for _ in range(2):
        with pytest.raises(error):
            desk.store(**{"project": "fresh", **fields})
        assert (desk.labels(), list((desk.world.data / "wiki").glob("*/*/*.md"))) == ([], [])
    desk.narrative("First.", "fresh")
    before = desk.files("fresh"), desk.world.subjects()
    with pytest.raises(error):
        desk.store(**{"project": "fresh", **fields})
    assert (desk.files("fresh"), desk.world.subjects()) == before


# Projects


def test_a_plain_name_is_the_project_of_that_name_wherever_it_is_else_a_new_one_of_the_default_workspace(desk):
    projects = desk.world.memory.projects
    projects.create("work", "shop")
    desk.store("a", "SHOP")
    desk.store("b", "new")
    desk.store("c", "")
    desk.store("d", "work/other")
    assert desk.labels() == ["default/new", "default/scratch", "work/other", "work/shop"]
    assert [desk.recent(name) for name in ("shop", "new", "scratch", "other")] == [["a"], ["b"], ["c"], ["d"]]


def test_a_name_of_two_projects_is_refused_with_both_and_either_can_be_named(desk):
    projects = desk.world.memory.projects
    for workspace in ("default", "work"):
        projects.create(workspace, "shop")
    for ask in (lambda: desk.store("a", "shop"), lambda: desk.recent("shop")):
        with pytest.raises(NotFoundError, match="several projects are called shop: say default/shop or work/shop"):
            ask()
    desk.store("a", "work/shop")
    found = desk.records.recent(None, "", 10)[0]
    assert (found.project.label, desk.records.name_of(found.project)) == ("work/shop", "work/shop")


def test_an_unknown_project_is_told_with_those_that_there_are_and_is_not_made(desk):
    desk.store()
    with pytest.raises(NotFoundError, match=r"there is no project default/shop \(known: default/atlas\)"):
        desk.recent("shop")
    assert desk.labels() == ["default/atlas"]


def test_the_memories_of_a_user_are_no_project_of_the_records(desk):
    private = desk.world.memory.projects.ensure_of_user("bob", "shop")
    with pytest.raises(NotFoundError, match="there is no project default/shop"):
        desk.recent("shop")
    for ask in (desk.recent, lambda name: desk.store("a", name)):
        for name in (private.label, f"{private.workspace}/new"):
            with pytest.raises(NotFoundError, match=rf"there is no project {name} \(known: none yet\)"):
                ask(name)
    desk.store("a", "shop")
    assert desk.labels() == sorted(["default/shop", private.label])


# Narratives


def test_a_new_narrative_takes_the_place_of_the_former_one_which_stays_archived(desk):
    one = desk.narrative("# One\n\nFirst.")
    two = desk.narrative("# Two\n\nSecond.")
    assert desk.files() == {
        "narrative.md": desk.records.get(two).record,
        f"narratives/{one}.md": desk.records.get(one).record,
    }
    first, second = desk.records.get(one).record, desk.records.get(two).record
    assert (first.archived, first.archived_in, first.tags) == (True, two, ("superseded",))
    assert (second.archived, second.connections) == (False, (Connection(one, "supersedes"),))
    assert (desk.recent(), desk.found("First"), desk.found("Second")) == (
        ["# Two\n\nSecond."],
        [],
        ["# Two\n\nSecond."],
    )
    assert desk.world.subjects()[0] == f"store-record default/atlas: {two} and 1 more"


def test_a_page_in_the_narratives_place_that_somebody_wrote_is_archived_and_not_lost(desk):
    project = desk.world.memory.projects.create("default", "atlas")
    desk.world.memory.pages.write(project, "narrative.md", "# Mine\n\nBy hand.\n", Fields(tags=["a"]), ANA)
    two = desk.narrative("Second.")
    ((path, former),) = [(path, each) for path, each in desk.files().items() if path != "narrative.md"]
    assert (path, former.content, former.tags, former.archived_in) == (
        f"narratives/{former.uuid}.md",
        "# Mine\n\nBy hand.",
        ("a", "superseded"),
        two,
    )
    assert desk.records.get(two).record.connections == (Connection(former.uuid, "supersedes"),)


def test_of_two_narratives_at_once_one_holds_and_nothing_is_lost(desk):
    desk.narrative("Before.")
    threads = [threading.Thread(target=desk.narrative, args=(f"Text {number}.",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    records = list(desk.files().values())
    assert sorted(each.content for each in records) == sorted(["Before.", *(f"Text {n}." for n in range(8))])
    (holding,) = [each for each in records if not each.archived]
    # Each superseded exactly the one before it.
    chain, uuids = [], {each.uuid: each for each in records}
    while holding:
        chain.append(holding.uuid)
        holding = uuids.get(holding.connections[0].to_uuid) if holding.connections else None
    assert sorted(chain) == sorted(uuids)
    assert desk.recent(type_="narrative") == [uuids[chain[0]].content]


def test_after_a_merge_of_two_projects_the_next_narrative_supersedes_both(desk):
    one, two = desk.narrative("One.", "default/atlas"), desk.narrative("Two.", "work/atlas")
    desk.world.memory.moves.move_project(desk.project("work/atlas"), "default", on_conflict="duplicate", confirm=True)
    assert sorted(desk.recent()) == ["One.", "Two."]
    for each, other in ((one, two), (two, one)):
        desk.records.connect(each, other, "related_to", ANA)
    assert sorted(desk.recent()) == ["One.", "Two."]
    three = desk.narrative("Three.")
    assert sorted(desk.files()) == sorted(["narrative.md", f"narratives/{one}.md", f"narratives/{two}.md"])
    assert desk.records.get(three).record.connections == (Connection(two, "supersedes"), Connection(one, "supersedes"))
    assert [desk.records.get(each).record.archived_in for each in (one, two)] == [three, three]
    assert desk.world.memory.stores.pages.missing(desk.project().id) == []


def test_a_narrative_finds_a_place_where_one_was_purged(desk):
    desk.narrative("A secret.")
    memory = desk.world.memory
    memory.purge.page(desk.project(), "narrative.md", confirm=True)
    two = desk.narrative("Two.")
    three = desk.narrative("Three.")
    assert sorted(desk.files()) == sorted([f"narratives/{two}.md", f"narratives/{three}.md"])
    assert (desk.recent(), desk.records.get(two).record.archived_in) == (["Three."], three)


# Finding


def test_every_word_of_a_search_has_to_match_somewhere_in_the_record(desk):
    long = "# Atlas\n\nalpha " + "filler words here. " * 400 + "\n\nomega"
    desk.narrative(long)
    desk.store("alpha beta")
    desk.store("alpha gamma")
    assert set(desk.found("alpha")) == {long, "alpha beta", "alpha gamma"}
    assert desk.found("alpha beta") == ["alpha beta"]
    assert desk.found("omega alpha") == [long]
    assert desk.found("beta gamma") == []


def test_types_names_of_projects_and_tags_are_words_of_a_record(desk):
    desk.store("Rounded.", tags="invoices", project="shop")
    desk.store("Rounded up.", project="atlas", type_="session_log")
    assert desk.found("rounded shop") == ["Rounded."]
    assert desk.found("session_log rounded") == ["Rounded up."]
    assert desk.found("invoices") == ["Rounded."]
    assert desk.found("rounded", project="atlas") == ["Rounded up."]
    assert desk.found("rounded", type_="note") == ["Rounded."]
    assert len(desk.found("rounded", limit=1)) == 1


@pytest.mark.parametrize(
    "query", ['foo-bar" OR', "NEAR(foo", "a* AND (b", "col:foo", "日本", '""', "\x00 foo", "foo'bar"]
)
def test_any_text_can_be_searched_for(desk, query):
    desk.store("foo-bar OR: near(foo) and col:foo a b foo'bar 日本語")
    desk.store("something else")
    if any(map(str.isalnum, query)):
        assert desk.found(query) == ["foo-bar OR: near(foo) and col:foo a b foo'bar 日本語"]
    else:
        with pytest.raises(BadRequestError, match="no word"):
            desk.found(query)


def test_only_records_are_found(desk):
    desk.store("WAL as a record.")
    desk.world.memory.pages.write(desk.project(), "notes/wal.md", "WAL as a page.", Fields(), ANA)
    assert desk.found("WAL") == desk.recent() == ["WAL as a record."]


def test_the_newest_come_first_also_within_one_second(desk):
    for number in range(5):
        desk.records.store("atlas", ANA, type_="note", content=f"{number}", importance=5)
        desk.world.passes(milliseconds=1)
    assert desk.recent(limit=3) == ["4", "3", "2"]


# Connections


def test_connections_lead_both_ways_over_projects_and_once_more_changes_nothing(desk):
    one = desk.store("one")
    two = desk.store("two", "other", connections=[Connection(one, "related_to")])
    desk.records.connect(one, two, "supersedes", ANA)
    commits = len(desk.world.subjects())
    desk.records.connect(one, two, "supersedes", ANA)
    assert len(desk.world.subjects()) == commits
    connected = desk.records.connected(one)
    assert [(way.to_uuid, way.relationship, other.record.content) for way, other in connected.outgoing] == [
        (two, "supersedes", "two")
    ]
    assert [(way.from_uuid, way.relationship, other.record.content) for way, other in connected.incoming] == [
        (two, "related_to", "two")
    ]
    for ends in ((one, NOWHERE), (NOWHERE, one)):
        with pytest.raises(NotFoundError, match=NOWHERE):
            desk.records.connect(*ends, "related_to", ANA)
    with pytest.raises(BadRecordError, match="supersedes, related_to"):
        desk.records.connect(one, two, "likes", ANA)
    assert len(desk.world.subjects()) == commits


def test_a_walk_goes_as_far_as_it_is_asked_and_at_most_three_connections(desk):
    chain = [desk.store("0")]
    for number in range(1, 6):
        chain.append(desk.store(str(number), connections=[Connection(chain[-1], "related_to")]))

    def walked(depth):
        around = desk.records.around(chain[0], depth)
        return [each.record.content for each in around.records], len(around.relations)

    assert [walked(depth) for depth in (1, 2, 9)] == [(["0", "1"], 1), (["0", "1", "2"], 2), (["0", "1", "2", "3"], 3)]


def test_of_very_many_connections_the_first_are_listed_and_it_is_said(desk):
    hub = desk.store("hub")
    others = [
        file_of(n + 1, f"Note {n}.", connections=[{"to_uuid": hub, "relationship": "related_to"}]) for n in range(205)
    ]
    assert set(desk.bring(*others)) == {"new"}
    connected = desk.records.connected(hub)
    assert (len(connected.outgoing) + len(connected.incoming), connected.truncated) == (200, True)
    around = desk.records.around(hub, 1)
    assert (len(around.records), around.truncated) == (200, True)


def test_what_readers_said_of_a_record_holds_when_only_its_connections_change(desk):
    first, second = desk.store("one"), desk.store("two")
    memory, project, path = desk.world.memory, desk.project(), f"notes/records/{first}.md"
    memory.feedback.give(project, path, "helpful")
    desk.records.connect(first, second, "related_to", ANA)
    row = memory.stores.pages.page(project.id, path)
    assert memory.stores.state.feedback.saliences([(project.id, path, row.blob)]) == {(project.id, path): 1.25}
    desk.records.delete(second, ANA)
    row = memory.stores.pages.page(project.id, path)
    assert memory.stores.state.feedback.saliences([(project.id, path, row.blob)]) == {(project.id, path): 1.25}


def test_a_project_is_found_by_the_name_that_its_files_gave_it(desk):
    assert desk.bring(file_of(1, project="My Shop")) == ["new"]
    assert desk.records.find("My Shop").project.name == "my-shop"


def test_a_deleted_record_takes_all_connections_with_it_and_stays_deleted(desk):
    one = desk.store("one")
    two = desk.store("two", connections=[Connection(one, "related_to")])
    three = desk.store("three", "other", connections=[Connection(one, "related_to"), Connection(two, "supersedes")])
    desk.records.delete(one, ANA)
    assert desk.records.get(two).record.connections == ()
    assert desk.records.get(three).record.connections == (Connection(two, "supersedes"),)
    assert (desk.recent(), desk.found("one")) == (["three", "two"], [])
    with pytest.raises(NotFoundError, match="there is no record"):
        desk.records.delete(one, ANA)
    assert f"delete-page notes/records/{one}.md" in (desk.folder() / "_meta.md").read_text()
    assert desk.world.subjects()[:2] == [f"delete-record default/other: {one}", f"delete-record default/atlas: {one}"]


def test_a_page_that_claims_to_be_a_record_does_not_take_its_place(desk):
    uuid = desk.store("Use WAL mode.")
    other = desk.world.memory.projects.create("default", "elsewhere")
    text = (desk.folder() / f"notes/records/{uuid}.md").read_text().replace("Use WAL mode.", "Forged.")
    desk.world.memory.pages.write(other, "notes/forged.md", text, Fields(), ANA)
    desk.records.delete(uuid, ANA)
    with pytest.raises(NotFoundError):
        desk.records.get(uuid)
    assert desk.recent() == []
    assert desk.files("elsewhere") == {}


def test_after_the_narrative_was_deleted_the_next_one_begins_anew(desk):
    one = desk.narrative("One.")
    desk.records.delete(one, ANA)
    assert desk.recent() == []
    two = desk.narrative("Two.")
    assert desk.files() == {"narrative.md": desk.records.get(two).record}
    assert desk.records.get(two).record.connections == ()


# Coverage


@pytest.fixture
def transcripts(desk, tmp_path):
    folder = tmp_path / "transcripts"
    desk.records._transcripts = Transcripts(folder)

    def made(*names):
        files = [folder / name for name in names]
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return [str(file) for file in files]

    return made


def test_coverage_tells_what_is_not_covered_and_what_is_gone(desk, transcripts):
    one, two, sub, deep = transcripts(
        "-home-ana-projects-my-atlas/one.jsonl",
        "-home-ana-projects-my-atlas/two.jsonl",
        "-home-ana-projects-my-atlas/subagents/a.jsonl",
        "-home-ana-projects-my-atlas/one/subagents/b.jsonl",
    )
    transcripts("-home-ana-projects-other/x.jsonl", "-home-ana-projects-my-atlas/notes.txt")
    gone = one.replace("one", "gone")
    desk.store("x", "my_atlas")
    desk.narrative("N.", "my_atlas", transcript_ref=[one, gone, "/elsewhere/z.jsonl"])
    covered = desk.records.coverage(desk.project("my_atlas"))
    assert (covered.on_disk, covered.processed, covered.unprocessed, covered.stale) == (
        sorted([one, two, sub, deep]),
        [one, gone, "/elsewhere/z.jsonl"],
        sorted([two, sub, deep]),
        [gone],
    )


def test_coverage_knows_the_directory_of_a_project_whose_agents_worked_there(desk, transcripts):
    (file,) = transcripts("-srv-shop/one.jsonl")
    desk.world.works("a0000000-0000-4000-8000-000000000001")
    covered = desk.records.coverage(desk.project("shop"))
    assert (covered.narrative, covered.on_disk, covered.unprocessed) == (None, [file], [file])


def test_general_has_what_was_done_above_all_projects(desk, transcripts):
    (file,) = transcripts("-home-ana-projects/one.jsonl")
    desk.store("x", "general")
    assert desk.records.coverage(desk.project("general")).on_disk == [file]


def test_a_name_with_a_tilde_is_one_of_the_home_directory(desk, own_home):
    folder = own_home / ".claude/projects/-home-ana-projects-atlas"
    folder.mkdir(parents=True)
    (folder / "one.jsonl").touch()
    desk.world.close()
    desk.world.open()
    desk.narrative("N.", transcript_ref=[f"~/.claude/projects/{folder.name}/{name}.jsonl" for name in ("one", "gone")])
    covered = desk.records.coverage(desk.project())
    assert (covered.on_disk, covered.unprocessed) == ([str(folder / "one.jsonl")], [])
    assert covered.stale == [f"~/.claude/projects/{folder.name}/gone.jsonl"]


def test_without_the_folder_nothing_is_said_to_be_gone(desk, tmp_path):
    desk.records._transcripts = Transcripts(tmp_path / "none")
    desk.narrative("N.", transcript_ref=[str(tmp_path / "none/a/one.jsonl")])
    covered = desk.records.coverage(desk.project())
    assert (covered.is_there, covered.on_disk, covered.stale) == (False, [], [])


# Bringing in


def test_files_are_brought_in_once_with_all_that_they_say(desk):
    one = file_of(1, tags="a, b", importance=9, connections=[{"to_uuid": f"{2:032x}", "relationship": "related_to"}])
    two = file_of(2, "Key AKIAIOSFODNN7EXAMPLE.", type="session_log", project="My Shop")
    none = file_of(3, "No project.", project=None)
    assert desk.bring(one, two, none, dry_run=True) == ["new"] * 3
    assert desk.labels() == []
    assert desk.bring(one, two, none) == ["new"] * 3
    assert desk.labels() == ["default/atlas", "default/my-shop", "default/scratch"]
    record = desk.records.get(one["uuid"]).record
    assert (record.created_at.isoformat(), record.importance, record.tags) == (
        "2026-01-15T09:30:00+00:00",
        9,
        ("a", "b"),
    )
    assert desk.records.connected(one["uuid"]).outgoing[0][1].record.content == "Key [REDACTED:aws-access-key]."
    commits = desk.world.subjects()
    assert desk.bring(one, two, none) == ["unchanged"] * 3
    assert desk.world.subjects() == commits
    assert len([each for each in commits if each.startswith("import-record ")]) == 3


def test_an_edited_file_counts_anew_and_keeps_what_was_connected_here(desk):
    one, two = file_of(1), file_of(2)
    desk.bring(one, two)
    desk.records.connect(one["uuid"], two["uuid"], "related_to", ANA)
    assert desk.bring(one) == ["unchanged"]
    edited = {**one, "content": "New.", "importance": 1}
    assert desk.bring(edited, dry_run=True) == ["updated"]
    assert desk.records.get(one["uuid"]).record.content == "Old."
    assert desk.bring(edited) == ["updated"]
    record = desk.records.get(one["uuid"]).record
    assert (record.content, record.importance, record.connections) == (
        "New.",
        1,
        (Connection(two["uuid"], "related_to"),),
    )
    assert desk.bring(edited) == ["unchanged"]


def test_the_newest_narrative_holds_whatever_the_order_in_which_they_come(desk):
    files = [file_of(n, f"N{n}.", f"2026-01-{n:02}T00:00:00", type="narrative") for n in (1, 3, 2)]
    assert desk.bring(*files[:2]) == ["new", "new"]
    assert desk.bring(files[2]) == ["new"]
    assert desk.recent() == ["N3."]
    records = {record.content: record for record in desk.files().values()}
    assert [(records[f"N{n}."].archived, records[f"N{n}."].archived_in) for n in (1, 2, 3)] == [
        (True, files[1]["uuid"]),
        (True, files[1]["uuid"]),
        (False, ""),
    ]
    assert desk.bring(*files) == ["unchanged"] * 3
    later = desk.narrative("Now.")
    assert desk.bring({**files[1], "content": "N3, edited."}) == ["updated"]
    assert desk.recent() == ["Now."]
    assert desk.records.get(files[1]["uuid"]).record.archived_in == later


def test_an_archived_narrative_stays_archived_where_it_comes_in(desk):
    by = f"{9:032x}"
    desk.bring(file_of(1, type="narrative", status="archived", archived_in=by))
    record = desk.records.get(f"{1:032x}").record
    assert (record.archived, record.archived_in, desk.recent()) == (True, by, [])


def test_what_was_deleted_here_does_not_come_back_with_its_file(desk):
    note, narrative = file_of(1), file_of(2, type="narrative")
    desk.bring(note, narrative)
    desk.records.delete(note["uuid"], ANA)
    desk.records.delete(narrative["uuid"], ANA)
    again = [{**note, "content": "Edited.", "project": "elsewhere"}, narrative]
    assert desk.bring(*again) == ["deleted", "deleted"]
    assert (desk.recent(), desk.labels()) == ([], ["default/atlas"])


def test_what_was_purged_with_its_project_does_not_come_back_with_its_file(desk):
    desk.bring(file_of(1))
    desk.world.memory.purge.project(desk.project(), confirm=True)
    desk.world.passes(minutes=1)
    later = file_of(2, content="Begun anew.", at=f"{desk.world.now:%Y-%m-%dT%H:%M:%S}")
    assert desk.bring(file_of(1), later) == ["deleted", "new"]
    assert desk.recent() == ["Begun anew."]


def test_what_lost_its_page_can_be_stored_again(desk):
    lost = desk.store("Use WAL mode.")
    desk.world.memory.pages.delete(desk.project(), f"notes/records/{lost}.md", ANA)
    assert desk.store("Use WAL mode.") != lost
    assert desk.recent() == ["Use WAL mode."]


def test_a_project_that_is_half_named_is_refused(desk):
    for name in ("atlas/", "/atlas"):
        with pytest.raises(BadRequestError, match="write its name, or workspace/name"):
            desk.store(project=name)
    assert desk.labels() == []


def test_a_narrative_that_was_deleted_as_a_page_does_not_come_back_either(desk):
    narrative = file_of(1, type="narrative")
    desk.bring(narrative)
    desk.world.memory.pages.delete(desk.project(), "narrative.md", ANA)
    assert desk.bring(narrative) == ["deleted"]
    assert desk.files() == {}


def test_files_that_are_no_records_are_refused_by_name_and_the_others_come_in(desk):
    projects = desk.world.memory.projects
    for workspace in ("default", "work"):
        projects.create(workspace, "twice")
    files = [
        ("x", file_of(1)),
        (f"{2:032x}", file_of(2, content="")),
        (f"{3:032x}", file_of(3, content="x" * 1024 * 1024)),
        (f"{4:032x}", file_of(4, project="twice")),
        (f"{5:032x}", file_of(5, project="日本")),
        (f"{6:032x}", file_of(6)),
        (f"{7:032x}", None),
    ]
    outcomes = desk.records.bring_in(files, ANA, dry_run=False)
    assert [(each.name, each.did) for each in outcomes] == [
        (name, "new" if number == 5 else "refused") for number, (name, _) in enumerate(files)
    ]
    reasons = [each.reason for each in outcomes]
    assert ["uuid" in reasons[0], "empty" in reasons[1], "at most" in reasons[2]] == [True] * 3
    assert ["several projects" in reasons[3], "ASCII" in reasons[4], "JSON object" in reasons[6]] == [True] * 3
    assert desk.recent() == ["Old."]


# The index


def test_a_rebuilt_index_knows_the_same_records(desk):
    one = desk.store("one")
    desk.store("two", connections=[Connection(one, "related_to")])
    desk.narrative("Narrative.")
    desk.narrative("Another.")
    answers = desk.recent(), desk.found("two"), desk.records.connected(one)
    desk.world.close()
    assert_rebuild_is_equal(desk.world.data, lambda: (desk.world.open(), desk.world.close()))
    desk.world.open()
    assert (desk.recent(), desk.found("two"), desk.records.connected(one)) == answers


def test_an_index_from_before_the_records_learns_of_them_at_the_next_start(desk):
    uuid = desk.store("one")
    desk.world.close()
    older_index(desk.world.data, 4)
    desk.world.open()
    assert desk.records.get(uuid).record.content == "one"
    assert desk.found("one") == ["one"]


def test_purged_records_leave_nothing_in_the_index(desk):
    uuid = desk.store("one")
    desk.world.memory.purge.page(desk.project(), f"notes/records/{uuid}.md", confirm=True)
    assert desk.world.memory.stores.database.all("SELECT * FROM records") == []
    assert desk.recent() == []


def test_the_folder_of_transcripts_is_a_setting(tmp_path):
    memory = Memory(load_settings(tmp_path / "data", flags={"transcripts_dir": str(tmp_path / "here")}))
    try:
        uuid = memory.records.store("a", ANA, type_="note", content="x", importance=5).uuid
        project = memory.records.get(uuid).project
        assert memory.records.coverage(project).folder == str(tmp_path / "here")
    finally:
        memory.close()
