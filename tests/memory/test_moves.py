"""Renames and moves: what led to a thing goes on leading to it, and nothing is left behind."""

import json
import threading
import uuid
from dataclasses import replace

import pytest

from ai_memory.errors import ConflictError, NotFoundError
from ai_memory.memory.intake import Delivery
from ai_memory.memory.merge import PathsInBothError
from ai_memory.memory.moves import NameTakenError
from ai_memory.memory.pages import Fields, PageChangedError, Writer
from ai_memory.model.scope import BadNameError, Routing
from ai_memory.store import steps
from ai_memory.store.steps import Step
from tests.mirror import assert_rebuild_is_equal, rows_of


class KilledError(BaseException):
    """The process ends here."""


def project(world, name="shop", workspace="default"):
    return world.memory.projects.named(workspace, name)


def write(world, path, body="A page.", name="shop", workspace="default", **how):
    return world.memory.pages.write(project(world, name, workspace), path, body, Fields(), Writer("codex"), **how)


def read(world, path, name="shop", workspace="default"):
    return world.memory.pages.read(project(world, name, workspace), path).body


def ends(world, session, **where):
    world.works(session, **where)
    world.says(session, "session-end", **where)
    world.memory.sessions.settle()


def labels(world):
    return sorted(each.label for each in world.memory.projects.all())


def send(world, session, event="user-prompt", at=None, **query):
    asked = {"agent": "codex", "event": event, "ingest_key": uuid.uuid4().hex, **query}
    body = {"session_id": session, "prompt": "late words"}
    if at:
        body["occurred_at"] = at.isoformat()
    ((outcome,),) = world.memory.intake.record([Delivery(asked, json.dumps(body).encode())])
    return outcome.what, outcome.scope


def reopen(world):
    world.close()
    world.open()


def content(world):
    """Everything that a user sees: pages, ledgers, sessions, handoffs and raw lines by project's name."""
    memory = world.memory
    found = {}
    for each in memory.projects.all():
        folder = memory.stores.wiki.folder(each)
        raw = memory.stores.rawlog.path(each.workspace_id, each.id, each.id).parent
        found[each.label] = {
            "pages": {row.path: memory.pages.read(each, row.path).text for row in memory.stores.pages.pages(each.id)},
            "files": sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()),
            "ledgers": {file.name: file.read_text() for file in folder.glob("log-*.md")},
            "raw": {file.name: file.read_text() for file in raw.glob("*.jsonl")},
            "sessions": sorted(str(s.id) for s in memory.stores.index.recent(project_id=each.id)),
            "handoffs": sorted(str(h.from_session) for h in memory.stores.state.open_handoffs(each.id)),
            "names": (each.identity, each.roots, each.aliases),
        }
    return found


def assert_sound(world):
    git = world.memory.stores.wiki.git
    assert git.dirty() == set()
    assert world.memory.stores.operations.pending() is None
    world.close()
    assert_rebuild_is_equal(world.data, lambda: (world.open(), world.close()))
    world.open()


# Names


def test_a_renamed_project_is_found_under_both_names_and_its_hooks_land_in_it(world, ids):
    ends(world, ids[0])
    answer = world.memory.moves.rename_project(project(world), "store")
    assert (answer["from"], answer["to"], answer["pages"]) == ("shop", "store", 2)
    assert labels(world) == ["default/store"]
    assert project(world, "shop") == project(world, "store")
    ends(world, ids[1])
    assert send(world, ids[2], cwd="/elsewhere", project="shop", project_src="marker") == ("stored", "default/store")
    reopen(world)
    assert labels(world) == ["default/store"]
    assert send(world, ids[3], cwd="/srv/shop", repo_root="/srv/shop") == ("stored", "default/store")
    assert "rename-project default/shop -> default/store" in world.subjects()


def test_a_page_that_moved_with_its_project_keeps_its_revision(world, ids):
    ends(world, ids[0])
    made = write(world, "notes/a.md").revision
    world.memory.moves.move_project(project(world), "acme", confirm=True)
    moved = project(world, "shop", "acme")
    head = world.memory.stores.wiki.git.head()
    pages = world.memory.pages
    assert pages.read(moved, "notes/a.md").version.revision == made
    assert pages.read(moved, "notes/a.md", revision=head).version.revision == made
    assert [each.revision for each in pages.history(moved, "notes/a.md")] == [made]
    seen = write(world, "notes/a.md", "Two.", workspace="acme", expected=head).revision
    with pytest.raises(PageChangedError):
        write(world, "notes/a.md", "Three.", workspace="acme", expected=made)
    write(world, "notes/a.md", "Three.", workspace="acme", expected=seen[:12])


def leads(world, path, name, workspace):
    """Where the links of a page lead."""
    links = world.memory.pages.read(project(world, name, workspace), path).links
    return [(f"{each.workspace}/{each.project}", each.path, each.exists) for each in links]


def test_links_lead_where_they_led_after_either_side_has_moved(world, ids):
    ends(world, ids[0])
    ends(world, ids[1], cwd="/srv/other")
    write(world, "notes/a.md", "See [[other:notes/b.md]].")
    write(world, "notes/b.md", "See [[shop:notes/a.md]].", name="other")
    answer = world.memory.moves.move_project(project(world), "acme", confirm=False)
    assert answer["links_changed"] == 0
    world.memory.moves.move_project(project(world), "acme", confirm=True)
    assert leads(world, "notes/a.md", "shop", "acme") == [("default/other", "notes/b.md", True)]
    assert leads(world, "notes/b.md", "other", "default") == [("acme/shop", "notes/a.md", True)]
    world.memory.moves.move_project(project(world, "other"), "third", confirm=True)
    assert leads(world, "notes/a.md", "shop", "acme") == [("third/other", "notes/b.md", True)]
    assert leads(world, "notes/b.md", "other", "third") == [("acme/shop", "notes/a.md", True)]
    assert world.memory.pages.count_unresolved() == 0
    assert_sound(world)


def test_a_move_tells_first_of_links_that_will_mean_another_project(world, ids):
    ends(world, ids[0])
    ends(world, ids[1], cwd="/srv/other")
    world.memory.projects.create("acme", "other")
    write(world, "notes/a.md", "See [[other:notes/b.md]] and [[default/other:notes/b.md]].")
    assert world.memory.moves.move_project(project(world), "acme", confirm=False)["links_changed"] == 1


def test_a_rename_and_a_move_say_who_asked_for_them(world, ids):
    ends(world, ids[0])
    who, moves = Writer("codex", "ana"), world.memory.moves
    moves.rename_project(project(world), "store", who)
    moves.rename_workspace("default", "acme", who)
    moves.move_project(project(world, "store", "acme"), "third", who, confirm=True)
    moves.move_session(project(world, "store", "third"), uuid.UUID(ids[0]), "till", who, confirm=True, create=True)
    assert {each.author for each in world.memory.pages.checkpoints(4)} == {who.author}


def test_links_to_the_old_name_go_on_working(world, ids):
    ends(world, ids[0])
    ends(world, ids[1], cwd="/srv/other")
    write(world, "notes/a.md")
    write(world, "notes/b.md", "See [[shop:notes/a.md]].", name="other")
    world.memory.moves.rename_project(project(world), "store")
    (link,) = world.memory.pages.read(project(world, "other"), "notes/b.md").links
    assert (link.project, link.path, link.exists) == ("store", "notes/a.md", True)


def test_a_name_that_another_project_has_is_refused_and_one_that_it_had_is_taken_from_it(world, ids):
    ends(world, ids[0])
    ends(world, ids[1], cwd="/srv/other")
    with pytest.raises(NameTakenError):
        world.memory.moves.rename_project(project(world), "other")
    with pytest.raises(BadNameError):
        world.memory.moves.rename_project(project(world), "No Such/Name")
    world.memory.moves.rename_project(project(world), "store")
    world.memory.moves.rename_project(project(world, "other"), "shop")
    assert project(world, "shop").roots == ()
    assert project(world, "store").aliases == ()
    world.memory.moves.rename_project(project(world, "store"), "market")
    world.memory.moves.rename_project(project(world, "market"), "store")
    assert project(world, "store").aliases == ("market",)


def test_a_project_keeps_its_former_names_when_a_repository_widens_it(world, ids):
    ends(world, ids[0])
    world.memory.moves.rename_project(project(world), "store")
    send(world, ids[1], cwd="/srv/shop", repo_root="/srv/shop", identity="github.com/acme/shop")
    assert project(world, "store").identity == "github.com/acme/shop"
    assert project(world, "store").aliases == ("shop",)


def test_a_renamed_workspace_goes_on_taking_what_says_its_old_name_or_none(world, ids):
    ends(world, ids[0])
    answer = world.memory.moves.rename_workspace("default", "home")
    assert (answer["projects"], answer["manifests_refreshed"]) == (1, 2)
    assert labels(world) == ["home/shop"]
    assert send(world, ids[1], cwd="/srv/shop", repo_root="/srv/shop") == ("stored", "home/shop")
    assert send(world, ids[2], cwd="/srv/new", workspace="default") == ("stored", "home/new")
    assert send(world, ids[3], cwd="/srv/newer") == ("stored", "home/newer")
    reopen(world)
    assert labels(world) == ["home/new", "home/newer", "home/shop"]
    assert project(world, "shop", "default").label == "home/shop"
    assert len({each.workspace_id for each in world.memory.projects.all()}) == 1
    with pytest.raises(NotFoundError):
        world.memory.moves.rename_workspace("nowhere", "x")


# A project to another workspace


def test_a_moved_project_takes_everything_along_and_its_hooks_follow(world, ids):
    ends(world, ids[0])
    write(world, "notes/a.md", "First.")
    write(world, "notes/a.md", "Second.")
    world.works(ids[1])
    world.memory.sessions.settle()
    old = project(world)
    before = content(world)["default/shop"]
    dry = world.memory.moves.move_project(old, "team", confirm=False)
    assert content(world)["default/shop"] == before
    answer = world.memory.moves.move_project(old, "team", confirm=True)
    assert {**answer, "checkpoint": "", "dry_run": True} == {**dry, "checkpoint": ""}
    assert (answer["pages_moved"], answer["sessions_moved"], answer["handoffs_moved"]) == (4, 2, 2)
    assert content(world) == {"team/shop": before}
    moved = project(world, "shop", "team")
    assert moved == replace(old, workspace="team", workspace_id=moved.workspace_id)
    assert len(world.memory.pages.history(moved, "notes/a.md")) == 2
    first = world.memory.pages.history(moved, "notes/a.md")[1].revision
    assert "First." in world.memory.pages.read(moved, "notes/a.md", revision=first).text
    assert send(world, ids[2], cwd="/srv/shop", repo_root="/srv/shop") == ("stored", "team/shop")
    assert send(world, ids[1], cwd="/srv/shop", repo_root="/srv/shop") == ("stored", "team/shop")
    assert project(world, "shop", "default") == project(world, "shop", "team")
    assert world.subjects()[0] == "move-project default/shop -> team/shop"
    reopen(world)
    assert labels(world) == ["team/shop"]
    assert send(world, ids[3], cwd="/srv/shop", repo_root="/srv/shop") == ("stored", "team/shop")


def test_a_project_that_moves_back_is_where_it_was(world, ids):
    ends(world, ids[0])
    before = content(world)
    world.memory.moves.move_project(project(world), "team", confirm=True)
    world.memory.moves.move_project(project(world, "shop", "team"), "default", confirm=True)
    assert content(world) == before
    assert_sound(world)
    assert content(world) == before


def test_a_folder_that_comes_back_to_the_old_workspace_is_no_second_project(world, ids):
    ends(world, ids[0])
    old = world.memory.stores.wiki.folder(project(world))
    manifest = (old / "_meta.md").read_text()
    world.memory.moves.move_project(project(world), "team", confirm=True)
    old.mkdir()
    (old / "_meta.md").write_text(manifest)
    reopen(world)
    assert labels(world) == ["team/shop"]


def merging(world, ids):
    """Two projects of one name in two workspaces, with two pages of one name and tombstones on both sides."""
    ends(world, ids[0])
    world.works(ids[1])
    ends(world, ids[2], cwd="/srv/far", prompt="Far away.")
    world.memory.moves.rename_project(project(world, "far"), "shop2")
    world.memory.moves.move_project(project(world, "shop2"), "team", confirm=True)
    world.memory.moves.rename_project(project(world, "shop2", "team"), "shop")
    for name in ("a", "b", "gone"):
        write(world, f"notes/{name}.md", f"Moved {name}.")
    for name in ("A", "c"):
        write(world, f"notes/{name}.md", f"There {name}.", workspace="team")
    world.memory.pages.delete(project(world), "notes/gone.md", Writer("codex"))


def test_a_merge_is_refused_where_both_have_a_page_of_one_name(world, ids):
    merging(world, ids)
    dry = world.memory.moves.move_project(project(world), "team", confirm=False, force=True)
    assert dry["conflicts"] == [{"path": "notes/a.md", "moved_to": None}]
    with pytest.raises(PathsInBothError) as refused:
        world.memory.moves.move_project(project(world), "team", confirm=True, force=True)
    assert refused.value.details == {"conflicts": [{"path": "notes/a.md", "moved_to": None}]}
    assert labels(world) == ["default/shop", "team/shop"]


@pytest.mark.parametrize("on_conflict", ["overwrite", "duplicate"])
def test_a_merge_brings_pages_sessions_handoffs_names_and_tombstones(world, ids, on_conflict):
    merging(world, ids)
    mine, theirs = content(world)["default/shop"], content(world)["team/shop"]
    at_work = world.memory.moves.move_project(project(world), "team", confirm=False)["at_work"]
    assert at_work == []
    answer = world.memory.moves.move_project(project(world), "team", confirm=True, on_conflict=on_conflict)
    assert answer["merged_into_existing"]
    assert labels(world) == ["team/shop"]
    now = content(world)["team/shop"]
    if on_conflict == "overwrite":
        notes = {"notes/a.md": "Moved a.", "notes/b.md": "Moved b.", "notes/c.md": "There c."}
    else:
        notes = {"notes/A.md": "There A.", "notes/a-from-default.md": "Moved a."}
        notes |= {"notes/b.md": "Moved b.", "notes/c.md": "There c."}
    found = {path: read(world, path, workspace="team").strip() for path in now["pages"] if path.startswith("notes/")}
    assert found == notes
    assert now["sessions"] == sorted([*mine["sessions"], *theirs["sessions"]])
    assert now["handoffs"] == sorted([*mine["handoffs"], *theirs["handoffs"]])
    assert {name: text for name, text in now["raw"].items() if name in mine["raw"]} == mine["raw"]
    lines = sum(text.count("## [") for text in now["ledgers"].values())
    # The session that was not committed yet was committed on the way.
    assert lines == 5 + 4 + 5
    assert set(project(world, "shop", "team").roots) == {"/srv/shop"}
    assert world.memory.stores.wiki.is_gone(project(world, "shop", "team").id, "notes/gone.md")
    assert send(world, ids[5], cwd="/srv/shop", repo_root="/srv/shop") == ("stored", "team/shop")
    world.memory.sessions.settle()
    assert_sound(world)


def test_a_session_that_worked_in_both_projects_stops_a_merge(world, ids):
    merging(world, ids)
    send(world, ids[0], cwd="/x", workspace="team", project="shop", project_src="marker")
    with pytest.raises(ConflictError, match="worked in"):
        world.memory.moves.move_project(project(world), "team", confirm=True, force=True)


# A session to another project


def test_a_moved_session_is_whole_in_the_other_project_and_late_events_follow_it(world, ids):
    ends(world, ids[0])
    ends(world, ids[1])
    ends(world, ids[2], cwd="/srv/other")
    before = content(world)
    dry = world.memory.moves.move_session(project(world), uuid.UUID(ids[0]), "other", confirm=False)
    assert content(world) == before
    answer = world.memory.moves.move_session(project(world), uuid.UUID(ids[0]), "other", confirm=True)
    changed = {"dry_run": True, "session_moved": False, "checkpoint": ""}
    assert {**answer, **changed} == {**dry, **changed}
    assert answer["summary"] == {"observations": 5, "handoffs": 1}
    now = content(world)
    assert now["default/other"]["sessions"] == sorted([ids[0], ids[2]])
    assert now["default/shop"]["sessions"] == [ids[1]]
    for kind in ("pages", "raw"):
        together = {**now["default/shop"][kind], **now["default/other"][kind]}
        assert together == {**before["default/shop"][kind], **before["default/other"][kind]}
    ledger = "log-2026-11.md"
    assert [now[name]["ledgers"][ledger].count("## [") for name in ("default/shop", "default/other")] == [5, 10]
    assert send(world, ids[0], cwd="/srv/shop", repo_root="/srv/shop") == ("stored", "default/other")
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    reopen(world)
    assert send(world, ids[0], cwd="/srv/shop", repo_root="/srv/shop")[1] == "default/other"
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    assert content(world)["default/shop"]["sessions"] == [ids[1]]
    assert_sound(world)
    assert content(world)["default/shop"]["sessions"] == [ids[1]]


def test_a_session_can_move_back(world, ids):
    ends(world, ids[0])
    ends(world, ids[1], cwd="/srv/other")
    before = content(world)
    world.memory.moves.move_session(project(world), uuid.UUID(ids[0]), "other", confirm=True)
    world.memory.moves.move_session(project(world, "other"), uuid.UUID(ids[0]), "shop", confirm=True)
    assert content(world) == before
    assert send(world, ids[0], cwd="/srv/shop", repo_root="/srv/shop") == ("stored", "default/shop")


def test_a_session_can_move_to_a_project_that_is_made_for_it(world, ids):
    ends(world, ids[0])
    with pytest.raises(NotFoundError, match="--create"):
        world.memory.moves.move_session(project(world), uuid.UUID(ids[0]), "lab", confirm=True)
    dry = world.memory.moves.move_session(project(world), uuid.UUID(ids[0]), "lab", confirm=False, create=True)
    assert dry["would_create_project"] == "default/lab"
    assert labels(world) == ["default/shop"]
    world.memory.moves.move_session(project(world), uuid.UUID(ids[0]), "lab", confirm=True, create=True)
    assert content(world)["default/lab"]["sessions"] == [ids[0]]
    assert "log-2026-11.md" not in content(world)["default/shop"]["ledgers"]


def test_a_deleted_session_page_stays_deleted_where_its_session_moves(world, ids):
    ends(world, ids[0])
    ends(world, ids[1], cwd="/srv/other")
    world.memory.pages.delete(project(world), f"sessions/{ids[0]}.md", Writer("codex"))
    world.memory.moves.move_session(project(world), uuid.UUID(ids[0]), "other", confirm=True)
    send(world, ids[0], cwd="/srv/shop", repo_root="/srv/shop")
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    assert f"sessions/{ids[0]}.md" not in content(world)["default/other"]["pages"]


@pytest.mark.parametrize("what", ["project", "session"])
def test_a_session_at_work_is_not_moved_without_force(world, ids, what):
    ends(world, ids[1], cwd="/srv/other")
    world.works(ids[0])
    world.says(ids[0], "user-prompt", prompt="And now?")

    def move(**how):
        if what == "project":
            return world.memory.moves.move_project(project(world), "team", **how)
        return world.memory.moves.move_session(project(world), uuid.UUID(ids[0]), "other", **how)

    assert move(confirm=False)["at_work"] == [ids[0]]
    with pytest.raises(ConflictError, match="at work"):
        move(confirm=True)
    move(confirm=True, force=True)
    world.says(ids[0], "stop", last_assistant_message="Done at last.")
    world.memory.sessions.settle()
    home = "team/shop" if what == "project" else "default/other"
    assert "Done at last." in content(world)[home]["pages"][f"sessions/{ids[0]}.md"]


# Beside other work


@pytest.mark.timeout(120)
def test_moves_beside_hooks_writers_and_checkpoints_lose_nothing_and_wait_for_ever_on_nobody(world, ids):
    ends(world, ids[0])
    stop, errors = threading.Event(), []

    def beside(work):
        def run():
            try:
                while not stop.is_set():
                    work()
            except Exception as error:  # whatever it is, the test tells
                errors.append(error)

        return threading.Thread(target=run)

    sent, written = [], []

    def hooks():
        sent.append(send(world, ids[1 + len(sent) % 3], cwd="/srv/shop", repo_root="/srv/shop"))

    def writes():
        path = f"notes/{len(written)}.md"
        write(world, path, workspace="default")
        written.append(path)

    def finds():
        routing = Routing(cwd=f"/srv/shop/{len(sent)}", repo_root="/srv/shop", identity="github.com/acme/shop")
        world.memory.projects.ensure(routing)

    threads = [beside(work) for work in (hooks, writes, finds, lambda: world.memory.sessions.settle(0.01))]
    for thread in threads:
        thread.start()
    for turn in range(6):
        here, there = ("default", "team") if turn % 2 == 0 else ("team", "default")
        world.memory.moves.move_project(project(world, "shop", here), there, confirm=True, force=True)
        world.memory.moves.rename_project(project(world, "shop", there), f"shop{turn}")
        world.memory.moves.rename_project(project(world, "shop", there), "shop")
    stop.set()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert {what for what, _ in sent} == {"stored"}
    (only,) = world.memory.projects.all()
    assert only.identity == "github.com/acme/shop"
    found = content(world)["default/shop"]
    assert set(written) <= set(found["pages"])
    assert sum(text.count('"kind":"user-prompt"') for text in found["raw"].values()) == len(sent) + 1


# Crashes


def rename(world, ids):
    world.memory.moves.rename_project(project(world), "store")


def rename_workspace(world, ids):
    world.memory.moves.rename_workspace("default", "home")


def move(world, ids):
    world.memory.moves.move_project(project(world), "fresh", confirm=True)


def merge(world, ids):
    world.memory.moves.move_project(project(world), "team", confirm=True, on_conflict="duplicate")


def move_session(world, ids):
    world.memory.moves.move_session(project(world), uuid.UUID(ids[0]), "shop", to_workspace="team", confirm=True)


def drop_index(world):
    for file in (world.data / "db").glob("index.db*"):
        file.unlink()


def state_of(world):
    # Ids of workspaces that were made on the way differ from run to run.
    return content(world), {name.split("/", 1)[1] for name in world.memory.stores.wiki.git.dirty()}


def killed_at(wanted, work, monkeypatch):
    """Do something and end at the n-th point that it reaches; tells whether it came so far."""
    left = [wanted]

    def listener(step):
        left[0] -= 1
        if left[0] == 0:
            raise KilledError(step)

    with monkeypatch.context() as patch:
        patch.setattr(steps, "_listeners", [listener])
        try:
            work()
        except KilledError:
            return True
    return False


@pytest.mark.parametrize("operation", [rename, rename_workspace, move, merge, move_session])
def test_an_operation_that_was_killed_anywhere_is_finished_at_the_next_start(
    world, ids, operation, monkeypatch, tmp_path
):
    import shutil

    merging(world, ids)
    world.memory.sessions.settle()
    world.close()
    shutil.copytree(world.data, tmp_path / "before", symlinks=True)
    begun = world.now
    wanted, point, seen = None, 0, set()
    while True:
        point += 1
        shutil.rmtree(world.data)
        shutil.copytree(tmp_path / "before", world.data, symlinks=True)
        world.now = begun
        world.open()
        reached = []
        monkeypatch.setattr(steps, "_listeners", [])
        killed = point > 1 and killed_at(point - 1, lambda: operation(world, ids), monkeypatch)
        if point == 1:
            monkeypatch.setattr(steps, "_listeners", [reached.append])
            operation(world, ids)
            monkeypatch.setattr(steps, "_listeners", [])
            assert Step.OPERATION_NOTED in reached
            first = reached.index(Step.OPERATION_NOTED)
            seen = set(reached[first:])
        else:
            world.crash()
            if point % 2:
                drop_index(world)
            world.open()
        world.memory.sessions.settle()
        result = state_of(world)
        if point == 1:
            wanted, total = result, len(reached)
        elif point - 1 <= first:
            # Before it was noted nothing has begun.
            operation(world, ids)
            assert state_of(world) == wanted
        else:
            assert result == wanted, f"killed at point {point - 1}: {reached}"
        assert world.memory.stores.operations.pending() is None
        world.close()
        if point > 1 and not killed:
            break
    assert point - 2 == total
    assert seen
    assert_rebuild_is_equal(world.data, lambda: (world.open(), world.close()))
    assert rows_of(world.data)


def test_a_page_of_a_session_that_moved_says_where_its_former_versions_are(world, ids):
    ends(world, ids[0])
    path = f"sessions/{ids[0]}.md"
    before = world.memory.pages.read(project(world), path).version.revision
    world.memory.moves.move_session(project(world), uuid.UUID(ids[0]), "till", confirm=True, create=True)
    till = project(world, "till")
    with pytest.raises(NotFoundError, match="before it moved it was in default/shop"):
        world.memory.pages.read(till, path, revision=before)
    assert world.memory.pages.came_from(till, path) == project(world)
    assert world.memory.pages.came_from(project(world), path) is None
    assert world.memory.pages.read(project(world), path, revision=before).version.revision == before
