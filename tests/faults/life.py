"""Lives: what a memory goes through in a few minutes, and a program that lives one of them until it is killed at a step.

`main(DATA, LIFE, STEP, NTH)` kills its process when `STEP` is reached for the nth time. It says each deed that is
acknowledged on a line of its own. A deed is one operation: after a restart it is wholly done, or wholly not.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from ai_memory.client import spool
from ai_memory.config import load_settings
from ai_memory.llm.chat import Answer, Call
from ai_memory.memory import backup
from ai_memory.memory.intake import Delivery
from ai_memory.memory.memory import Memory
from ai_memory.memory.packets import OWNER, Push
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.handoff import Receiver
from ai_memory.model.scope import Routing
from ai_memory.store import steps
from ai_memory.store.steps import Step
from ai_memory.store.teams import Team

FIXTURE = Path(__file__).resolve().parent.parent / "fixtures" / "format-1" / "data.tar.gz"
ANA = Writer(agent="codex", user="ana")
CANARY = "xanthippe"
#: What is searched for in every picture.
WORDS = (CANARY, "rounding", "cardamom", "nutmeg", "saffron", "refunds", "parrot")
OLD, FIRST, SECOND, SPOKE, DOOMED, NEW = (str(uuid.UUID(int=n + (4 << 76) + (2 << 62))) for n in range(1, 7))


class Life:
    """One data directory, opened, on a clock that each deed moves by a minute."""

    def __init__(self, data):
        self.data = data
        self.begun = datetime.fromisoformat((data / "begun").read_text())
        self.number = 0
        self.now = self.begun
        self.memory = None

    def at(self, number):
        """Go to the time of a deed."""
        self.number, self.now = number, self.begun + timedelta(minutes=number)

    def open(self, **how):
        if (self.data / "model").exists():
            how["chat_of"] = Colleague
        self.memory = Memory(load_settings(self.data), clock=lambda: self.now, **how)

    def close(self):
        if self.memory:
            self.memory.close()
            self.memory = None

    def says(self, session, *events, cwd="/srv/shop"):
        """Send events in one batch; their keys are those of the deed, so a second time stores nothing."""
        items = []
        for number, (event, body) in enumerate(events):
            key = uuid.uuid5(uuid.UUID(session), f"{self.begun} {self.now} {number}").hex
            query = {"agent": "claude-code", "event": event, "cwd": cwd, "repo_root": cwd, "ingest_key": key}
            items.append({"url": f"/hook?{urlencode(query)}", "body": {"session_id": session, **body}})
        (outcomes,) = self.memory.intake.record([Delivery(None, json.dumps(items).encode())])
        assert {outcome.what for outcome in outcomes} == {"stored"}, outcomes
        self.memory.sessions.settle()

    def works(self, session, prompt, *, cwd="/srv/shop", ended=True):
        tool = {"tool_name": "Edit", "tool_input": {"file_path": f"{cwd}/cart.py"}, "tool_response": "done " * 200}
        events = [
            ("session-start", {}),
            ("user-prompt", {"prompt": prompt}),
            ("post-tool-use", tool),
            ("stop", {"last_assistant_message": f"Done: {prompt}"}),
        ]
        self.says(session, *events, *([("session-end", {})] if ended else []), cwd=cwd)

    def project(self, name="shop", workspace="default"):
        return self.memory.projects.named(workspace, name)

    def write(self, path, body, name="shop", **how):
        return self.memory.pages.write(self.project(name), path, body, Fields(), ANA, **how)

    def file(self, path, name="shop"):
        return self.memory.stores.wiki.folder(self.project(name)) / path


class Colleague:
    """A model that makes a page of what every part of a session is about; each question is in the meter."""

    provider, model = "colleague", "m"

    def __init__(self, settings, record):
        self.record = record

    def ask(self, ask, **_):
        number = re.search(r"Chapter (\d)", ask.user)[1]
        page = {
            "path": f"concepts/chapter-{number}.md",
            "title": f"Chapter {number}",
            "kind": "concept",
            "tier": "semantic",
            "summary": "",
            "body_markdown": f"Chapter {number} on saffron.",
            "tags": [],
            "evidence": [f"Chapter {number}"],
            "slot_kind": "none",
            "supersedes": "",
        }
        self.record(Call(ask.purpose, self.provider, self.model, 100, 10, 0.01, "ok"))
        value = {"updates": [page], "drop": [], "rationale": "Chapters."}
        return Answer("", value, self.provider, self.model, 100, 10, 0.1)


def note_begin(data):
    # Tomorrow: whatever the disk says of a file's time is long past for the clock of a life.
    begun = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    (data / "begun").write_text(begun.isoformat())


def prepare(data):
    """Make the data directory that most lives begin with."""
    data.mkdir(mode=0o700)
    note_begin(data)
    (data / "config.toml").write_text("[maintenance]\nraw_keep_days = 35\n")
    life = Life(data)
    life.now = life.begun - timedelta(days=40)
    life.open()
    life.works(OLD, "An old question about rounding.")
    # Keys are as old as the file that holds them, and files know nothing of this clock.
    for file in life.memory.stores.rawlog.files():
        os.utime(file.path, (life.now.timestamp(), life.now.timestamp()))
    life.now = life.begun - timedelta(days=3)
    life.works(FIRST, "Please fix the rounding.")
    life.works(SECOND, "Write the letter on refunds.", cwd="/srv/other")
    life.works(SPOKE, f"Ask {CANARY} about it.")
    life.works(DOOMED, f"{CANARY} again.", cwd="/srv/doomed")
    life.write("notes/a.md", "On rounding, see [[notes/b]] and [[other:notes/a]].")
    life.write("notes/a.md", "On rounding, again: see [[notes/b]] and [[other:notes/a]].")
    life.write("notes/b.md", "Cardamom.")
    life.write("notes/c.md", "Nutmeg.")
    life.write("notes/over.md", "---\nexpires_at: 2020-01-01\n---\nThe parrot is no more.")
    life.write("notes/past.md", "---\nexpires_at: 2020-01-01\n---\nThis parrot, too.")
    life.write("notes/secret.md", f"{CANARY}, once more.")
    life.write("notes/a.md", "Refunds of the others.", name="other")
    life.write("notes/d.md", f"{CANARY} of the doomed.", name="doomed")
    place = {"cwd": "/srv/shop", "repo_root": "/srv/shop"}
    header = {"key": "0" * 32, "agent": "claude-code", "event": "user-prompt", "place": place, "created_ms": 1}
    spool.put(str(data), header, json.dumps({"session_id": SPOKE, "prompt": CANARY}).encode())
    life.close()


def prepare_with_model(data):
    """Make the data directory of somebody who has a model, which takes little at once."""
    prepare(data)
    (data / "model").touch()
    settings = "consolidate_on_session_end = true\n[consolidation]\nmax_input_tokens = 7200\n"
    (data / "config.toml").write_text(settings + (data / "config.toml").read_text())


def prepare_old(data):
    """Lay out what an older version has written."""
    data.mkdir(mode=0o700)
    with tarfile.open(FIXTURE) as tar:
        tar.extractall(data, filter="data")
    note_begin(data)


# Deeds: work


def a_session_begins_in_a_new_project(life):
    life.works(NEW, "Now the saffron.", cwd="/srv/new", ended=False)


def the_session_goes_on(life):
    life.says(NEW, ("user-prompt", {"prompt": "More saffron."}), ("stop", {}), cwd="/srv/new")


def the_session_is_compacted(life):
    # What `settle` does after that event; a start after a crash leaves it to the session's end.
    life.memory.sessions.checkpoint(life.project("new").id, uuid.UUID(NEW), label="pre-compact")


def the_session_ends(life):
    life.says(NEW, ("session-end", {}), cwd="/srv/new")


def a_handoff_is_left(life):
    life.memory.handoffs.begin(life.project(), summary="Look at the refunds.")


def a_handoff_is_taken(life):
    receiver = Receiver(uuid.uuid5(uuid.UUID(NEW), "next"), "codex", "/srv/shop")
    routing = Routing(cwd="/srv/shop", repo_root="/srv/shop")
    assert life.memory.handoffs.for_start(receiver, routing, lambda: True).text


def a_page_is_written(life):
    assert life.write("notes/new.md", "Saffron, see [[notes/a]].").changed


def a_page_is_written_by_one_who_saw_it(life):
    newest = life.memory.stores.pages.newest(life.project().id, "notes/a.md")
    life.write("notes/a.md", "Refunds, not rounding.", expected=newest.revision)


def a_page_is_edited_outside(life):
    file = life.file("notes/b.md")
    file.write_text("---\ntype: Note\n---\nSaffron by hand.\n")
    os.utime(file, (life.begun.timestamp(), life.begun.timestamp()))
    life.memory.outside.reconcile()


def a_page_is_being_edited_outside(life):
    file = life.file("notes/b.md")
    file.write_text(f"---\ntype: Note\n---\nNutmeg by hand, deed {life.number}.\n")
    # So young that no pass commits it.
    os.utime(file, (life.now.timestamp() + 3600, life.now.timestamp() + 3600))
    life.memory.outside.changed([file])


def the_edit_is_committed(life):
    life.memory.pages.commit_outside(life.project(), ["notes/b.md"])


def a_page_is_written_over_an_edit(life):
    life.write("notes/b.md", "Nutmeg by hand, and by ana.")


def a_page_is_deleted_outside(life):
    life.file("notes/c.md").unlink()
    for _ in range(2):
        life.memory.outside.reconcile()


def a_page_is_deleted(life):
    assert life.memory.pages.delete(life.project(), "notes/a.md", ANA)


def a_page_is_brought_back(life):
    versions = life.memory.pages.history(life.project(), "notes/a.md")
    newest = next(version for version in versions if version.blob)
    life.memory.pages.restore(life.project(), "notes/a.md", newest.revision, ANA)


def everything_is_committed(life):
    life.memory.pages.commit_all("a day's work", ANA)


# Deeds: packets


def pushed(life, user, number, goal, team=""):
    packet = {"ltm_version": "0.2", "id": f"PACKET-{number:04}", "goal": goal, "next_step": "Go on."}
    packet["created_at"] = f"{life.begun:%Y-%m-%dT%H:%M:%SZ}"
    (answer,) = life.memory.packets.push([Push(user, json.dumps(packet).encode(), team)])
    assert answer.id == packet["id"], answer


def a_packet_is_pushed(life):
    pushed(life, OWNER, 1, "Saffron for all.")


def a_team_is_made(life):
    # Its id is in the names of its workspace and folders, and is the same in each life.
    team = Team("01M7W6C380Z86VEBHN8WQNHHXV", "cooks", "ana", life.now)
    assert life.memory.stores.state.teams.add(team) or life.memory.teams.of("ana") == [team]


def packets_of_a_team_are_pushed(life):
    pushed(life, "ana", 2, "The parrot's saffron.", team="cooks")


def a_packet_is_pushed_again(life):
    pushed(life, OWNER, 1, "Nutmeg for all.")


def a_packet_is_deleted(life):
    life.memory.packets.delete(OWNER, "PACKET-0001")


def the_team_is_deleted(life):
    life.memory.teams.delete("ana", "cooks")


# Deeds: a model


def a_long_session_ends(life):
    chapters = [("user-prompt", {"prompt": f"Chapter {n}. {'Saffron is dear. ' * 160}"}) for n in range(1, 6)]
    life.says(NEW, ("session-start", {}), *chapters, ("session-end", {}), cwd="/srv/new")


def it_goes_on_and_ends_again(life):
    life.says(NEW, ("user-prompt", {"prompt": "Chapter 6, the last one."}), ("session-end", {}), cwd="/srv/new")


# Deeds: names and places


def a_project_gets_another_name(life):
    life.memory.moves.rename_project(life.project("doomed"), "spared")


def a_workspace_gets_another_name(life):
    life.memory.moves.rename_workspace("default", "home")


def a_session_moves(life):
    life.memory.moves.move_session(life.project(), uuid.UUID(FIRST), "spared", confirm=True)


def a_project_moves(life):
    life.memory.moves.move_project(life.project(), "team", confirm=True)


def its_name_is_given_to_another(life):
    life.memory.moves.rename_project(life.project("other"), "shop")


def a_project_moves_into_another(life):
    source = life.project()
    assert source.workspace == "home"
    life.memory.moves.move_project(source, "team", confirm=True, on_conflict="duplicate")


# Deeds: purges


def a_session_is_purged(life):
    life.memory.purge.session(life.project(), uuid.UUID(FIRST), confirm=True)


def a_session_is_purged_with_its_history(life):
    life.memory.purge.session(life.project(), uuid.UUID(SPOKE), confirm=True, history=True)


def a_page_is_purged(life):
    life.memory.purge.page(life.project(), "notes/secret.md", confirm=True)


def a_project_is_purged_with_its_history(life):
    life.memory.purge.project(life.project("doomed"), confirm=True, history=True)


def a_project_is_purged(life):
    life.memory.purge.project(life.project("other"), confirm=True)


def it_is_compacted(life):
    life.memory.upkeep.compact()


# Deeds: upkeep


def a_log_is_compressed(life):
    project = life.project()
    path = life.memory.stores.rawlog.path(project.workspace_id, project.id, uuid.UUID(FIRST))
    life.memory.stores.rawlog.compress(path)


def a_compressed_session_goes_on(life):
    life.says(FIRST, ("user-prompt", {"prompt": "And the refunds?"}), ("stop", {"last_assistant_message": "Done."}))


def what_expired_is_swept(life):
    assert len(life.memory.upkeep.sweep.run(life.project()).pages) == 2


def the_daily_upkeep_is_done(life):
    while life.memory.upkeep.step(60):
        pass


def the_index_is_made_anew(life):
    life.close()
    life.open(reindexing=lambda *_: None)


# Deeds: whole directories


def a_backup_is_made(life):
    archive = life.data.parent / "backup.tar.gz"
    with backup.save(life.data, life.memory.stores) as made:
        archive.with_suffix(".new").write_bytes(made.read())
    archive.with_suffix(".new").replace(archive)


def the_backup_is_restored(life):
    life.close()
    backup.restore(life.data, life.data.parent / "backup.tar.gz", force=True, at=life.now)
    life.open()


def everything_is_reset(life):
    life.close()
    backup.reset(life.data)
    life.open()


def an_older_directory_is_opened(life):
    # `open` did it.
    assert life.memory


LIVES = {
    "work": (
        prepare,
        [
            a_session_begins_in_a_new_project,
            a_page_is_deleted,
            the_session_is_compacted,
            a_page_is_brought_back,
            the_session_goes_on,
            a_page_is_written,
            the_session_ends,
            a_page_is_written_by_one_who_saw_it,
            a_page_is_edited_outside,
            a_handoff_is_left,
            a_page_is_being_edited_outside,
            a_page_is_written_over_an_edit,
            a_page_is_deleted_outside,
            a_handoff_is_taken,
            a_page_is_being_edited_outside,
            everything_is_committed,
        ],
    ),
    "packets": (
        prepare,
        [
            a_packet_is_pushed,
            a_team_is_made,
            packets_of_a_team_are_pushed,
            a_packet_is_pushed_again,
            a_packet_is_deleted,
            the_team_is_deleted,
        ],
    ),
    "models": (prepare_with_model, [a_long_session_ends, it_goes_on_and_ends_again]),
    "names": (
        prepare,
        [
            a_project_gets_another_name,
            a_workspace_gets_another_name,
            a_session_moves,
            a_project_moves,
            its_name_is_given_to_another,
            a_project_moves_into_another,
        ],
    ),
    "purges": (
        prepare,
        [
            a_session_is_purged,
            a_session_is_purged_with_its_history,
            a_page_is_purged,
            a_project_is_purged_with_its_history,
            a_project_is_purged,
            it_is_compacted,
        ],
    ),
    "upkeep": (
        prepare,
        [
            a_log_is_compressed,
            a_compressed_session_goes_on,
            what_expired_is_swept,
            the_daily_upkeep_is_done,
            the_index_is_made_anew,
            it_is_compacted,
        ],
    ),
    "whole": (prepare, [a_backup_is_made, a_page_is_written, the_backup_is_restored, everything_is_reset]),
    "upgrade": (prepare_old, [an_older_directory_is_opened, a_session_begins_in_a_new_project, the_session_ends]),
}

#: Deeds that are two operations, each of them whole: the first one alone.
FIRST_HALVES = {a_page_is_written_over_an_edit: the_edit_is_committed}


def live(life, deeds, first=1, told=lambda number: None):
    """Do the deeds from the given one on; `told` hears of each that is acknowledged."""
    life.at(first)
    life.open()
    for number in range(first, len(deeds) + 1):
        life.at(number)
        deeds[number - 1](life)
        told(number)
        settled(life)


# What can be seen


def settled(life):
    """Let everything be done that a running server would do by itself."""
    life.memory.sessions.settle()
    life.memory.teams.clear_gone()
    life.memory.packets.settle()
    while life.memory.jobs.run_due():
        pass
    for _ in range(2):
        life.memory.outside.reconcile()


def picture(life):
    """Everything that somebody can see of a memory, by names: pages, versions, raw lines, sessions, handoffs, searches."""
    settled(life)
    memory, stores = life.memory, life.memory.stores
    seen = {
        "words": {
            word: sorted((hit.project.label, hit.path) for hit in memory.recall.search(word, limit=100))
            for word in WORDS
        },
        "handoffs": stores.state.counts(),
        "packets": {user: memory.packets.list(user) for user in (OWNER, "ana")},
        "teams": {
            team.name: (memory.packets.list("ana", team=team.name), memory.teams.members("ana", team.name))
            for team in memory.teams.of("ana")
        },
        "asked": memory.models.usage()["total"],
        "spool": spool.names(str(life.data)),
        "kept": sorted(path.name for path in life.data.glob("before-restore-*")),
        "purged": sorted(
            tombstone.verb
            for workspace in memory.projects.workspaces()
            for tombstone in stores.wiki.gone.get(workspace.id, {}).values()
        ),
        "counts": {name: count for name, count in memory.status(bind="")["counts"].items() if name != "pages_all"},
    }
    ids = {str(workspace.id): workspace.name for workspace in memory.projects.workspaces()}
    for project in memory.projects.all():
        ids[str(project.id)] = project.name
        seen[project.label] = picture_of(memory, project)
    seen["dirty"] = sorted(
        "/".join(ids.get(part, part) for part in path.split("/")) for path in stores.wiki.git.dirty()
    )
    return seen


def picture_of(memory, project):
    stores, folder = memory.stores, memory.stores.wiki.folder(project)
    paths = [row.path for row in stores.pages.pages(project.id)]
    rows = stores.database.all("SELECT path FROM versions WHERE project = ?", (str(project.id),))
    ever = {*paths, *(path for (path,) in rows)}
    raw = {
        str(file.session_id): [(o.kind.value, o.key, str(o.at)) for o in stores.rawlog.observations(file.path)]
        for file in stores.rawlog.files()
        if file.project_id == project.id
    }
    views = {path: memory.pages.read(project, path) for path in paths}
    return {
        "names": (project.identity, project.roots, project.aliases),
        "pages": {path: view.text for path, view in views.items()},
        "versions": {
            path: [each.blob for each in stores.pages.history(project.id, path, 100)] for path in sorted(ever)
        },
        "links": {path: sorted((t.path, t.exists) for t in view.links) for path, view in views.items()},
        "backlinks": {path: sorted((t.project, t.path) for t in view.backlinks) for path, view in views.items()},
        "files": sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()),
        "ledgers": {file.name: file.read_text() for file in folder.glob("log-*.md")},
        "gone": {key: tombstone.verb for key, tombstone in stores.wiki.gone.get(project.id, {}).items()},
        "raw": raw,
        "sessions": {
            str(session.id): (session.observations, session.compiled, session.committed, session.is_over, session.title)
            for session in stores.index.recent(project_id=project.id, limit=None)
        },
        "handoffs": sorted(
            (str(each.from_session), each.summary, each.cwd) for each in stores.state.open_handoffs(project.id)
        ),
    }


def places_of(data, text):
    """List the files of a closed data directory that hold a text, in their names or their bytes, or in git's objects."""
    found = [
        file.relative_to(data).as_posix()
        for file in data.rglob("*")
        if text in file.name or (file.is_file() and text.encode() in file.read_bytes())
    ]
    command = ["git", "cat-file", "--batch-all-objects", "--batch", "--unordered"]
    objects = subprocess.run(command, cwd=data / "wiki", capture_output=True, check=True).stdout
    return sorted(found) + (["git objects"] if text.encode() in objects else [])


# The rehearsal, and the program


class Rehearsal:
    """A life that nobody disturbs: what can be seen after each deed, and which steps it reaches, in their order.

    Attributes:
        begin: the data directory that it begins with, as do others that are prepared alike; make copies of it.
        pictures: what there is before the first deed, and after each.
        halves: what there is when half of a deed is done, by its number.
        reached: every step, with the deed that reached it.
    """

    def __init__(self, name, folder):
        self.name = name
        prepared, self.deeds = LIVES[name]
        self.begin = folder.with_name(f"begun-by-{prepared.__name__}")
        folder.mkdir()
        if not self.begin.exists():
            prepared(self.begin)
        # What there is before an upgrade cannot be seen by this program.
        self.pictures = [None] if name == "upgrade" else [self._seen(folder / "0", [])]
        self.halves = {
            number: self._seen(folder / str(number), [*self.deeds[: number - 1], FIRST_HALVES[deed]])
            for number, deed in enumerate(self.deeds, start=1)
            if deed in FIRST_HALVES
        }
        self.reached = []
        self.lived = self.copy(folder / "lived" / "data")
        life = Life(self.lived)
        note = lambda step: self.reached.append((step, life.number))  # noqa: E731 - it is taken away again
        steps.listen(note)
        try:
            live(life, self.deeds, told=lambda _: self.pictures.append(picture(life)))
        finally:
            steps._listeners.remove(note)
        life.close()

    def copy(self, data):
        data.parent.mkdir(parents=True)
        return Path(shutil.copytree(self.begin, data))

    def _seen(self, folder, deeds):
        life = Life(self.copy(folder / "data"))
        live(life, deeds)
        seen = picture(life)
        life.close()
        return seen

    def counts(self):
        return Counter(step for step, _ in self.reached)


def main(data, name, step, nth, begun="no"):
    left = [int(nth)]

    def kill(reached):
        left[0] -= reached == Step(step)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    steps.listen(kill)
    if begun == "begun":
        life = Life(Path(data))
        life.at(1)
        life.open()
        settled(life)
        return
    live(Life(Path(data)), LIVES[name][1], told=lambda number: print(json.dumps({"acknowledged": number}), flush=True))
