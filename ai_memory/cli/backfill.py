"""`backfill`: the sessions that Claude Code and Codex had before their hooks were installed."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ai_memory.cli.bootstrap_sources import since_day
from ai_memory.cli.place import json_option
from ai_memory.cli.remote import RefusedError, Remote, remote_of, settings_of
from ai_memory.cli.shown import many, quiet, say
from ai_memory.cli.transcripts import ORIGINS, Event, Session, Transcript
from ai_memory.client.deliver import MOST_BYTES, item_text
from ai_memory.client.marker import MarkerError
from ai_memory.client.place import Place, is_recorded, look, query
from ai_memory.client.policy import apply_policy
from ai_memory.client.spool import SpoolEntryError
from ai_memory.config import Settings, agent_environment, home_directory

#: The server takes so many events at once, and answers about so many sessions.
_EVENTS, _SESSIONS = 256, 500
#: A session that spoke so lately may go on.
_AT_WORK = timedelta(hours=1)
#: What becomes of an event that nobody wants, which is not the session's fault.
_FINE = frozenset({"stored", "replayed", "ignored_end", "dropped_policy", "dropped_subagent"})
_WORDS = {
    "imported": "imported",
    "known": "here already",
    "deleted": "deleted here",
    "empty": "without a prompt",
    "nowhere": "in no project",
    "elsewhere": "of other projects",
    "at_work": "still at work",
}


#: What of the rest is as it should be, too -> how the session is counted then.
_NOT_WANTED = {"dropped_deleted": "deleted", "dropped_scope": "nowhere"}


@dataclass(slots=True)
class _Report:
    """What became of the sessions, each counted once; and of what could not be brought in, why."""

    counts: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    refused: list[dict[str, str]] = field(default_factory=list)

    def as_json(self, *, found: int, dry_run: bool) -> dict[str, Any]:
        """Give it as `--json` prints it."""
        counts = {name: self.counts[name] for name in _WORDS}
        events = dict(sorted(self.events.items()))
        return {"dry_run": dry_run, "found": found, **counts, "refused": self.refused, "events": events}


@click.command()
@click.option("--agent", type=click.Choice([*ORIGINS]), help="Only this agent's.")
@click.option("--project", help="Only sessions that belong to this project.")
@click.option("--since", default="", help='Only sessions since then: "90 days ago", "3 months ago", 2026-01-31.')
@click.option("--dry-run", is_flag=True, help="Only show what would happen.")
@json_option
@click.pass_context
def backfill(
    ctx: click.Context, agent: str | None, project: str | None, since: str, dry_run: bool, as_json: bool
) -> None:
    """Bring in the sessions that Claude Code and Codex had before their hooks were installed.

    Their transcripts on this machine are read, and come in as sessions with their own times, in
    the projects of their directories, as if the hooks had recorded them; no model is needed.
    What the server knows already is left alone, so once more adds nothing. Left out are
    sub-agents, sessions without a prompt, and those of the last hour, which may go on. None of
    them hands over to the next session.
    """
    settings = settings_of(ctx)
    remote = remote_of(ctx)
    day = since_day(since, datetime.now().astimezone().date())
    begun = datetime.fromisoformat(day).astimezone() if day else datetime.fromtimestamp(0, UTC)
    sessions = [
        session
        for name, origin in ORIGINS.items()
        if agent in (None, name)
        for session in origin.files(_folder(name, settings))
        if session.written >= begun.timestamp()
    ]
    report = _Report()
    sender = _Sender(remote, project, report, dry_run=dry_run)
    with _progress(len(sessions)) as show:
        for at in range(0, len(sessions), _SESSIONS):
            some = sessions[at : at + _SESSIONS]
            for number, (entry, state) in enumerate(zip(some, _states(remote, some), strict=True), start=at + 1):
                sender.bring(entry, state, begun)
                show(number)
    told = report.as_json(found=len(sessions), dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        _tell(told)
    if report.refused:
        ctx.exit(1)


class _Sender:
    """Brings sessions in, one after the other."""

    def __init__(self, remote: Remote, project: str | None, report: _Report, *, dry_run: bool) -> None:
        self._remote = remote
        self._project = project
        self._report = report
        self._dry_run = dry_run
        self._home = home_directory()
        self._places: dict[str, Place] = {}
        self._labels: dict[str, str] = {}

    def bring(self, session: Session, state: str, begun: datetime) -> None:
        """Bring one session in, unless it is known, and count what became of it."""
        if state == "known":
            self._report.counts["known"] += 1
            return
        try:
            transcript = ORIGINS[session.agent].read(session.file)
            outcome = self._outcome(transcript, begun)
            if outcome == "imported" and not self._dry_run:
                self._send(transcript)
        except OSError as error:
            self._refuse(session.file, f"it cannot be read: {error.strerror}")
        except (MarkerError, SpoolEntryError) as error:
            self._refuse(session.file, str(error))
        except _NotTakenError as error:
            if error.outcome in _NOT_WANTED:
                self._report.counts[_NOT_WANTED[error.outcome]] += 1
            else:
                self._refuse(session.file, f"{error.outcome}: {error}")
        else:
            self._report.counts[outcome] += 1

    def _outcome(self, transcript: Transcript, begun: datetime) -> str:
        if not transcript.events or transcript.events[-1].at < begun:
            return "empty"
        if transcript.events[-1].at > datetime.now(UTC) - _AT_WORK:
            return "at_work"
        if not is_recorded(self._place(transcript.events[0].cwd)):
            return "nowhere"
        if self._project and self._label(transcript.events[0].cwd) != self._project:
            return "elsewhere"
        return "imported"

    def _send(self, transcript: Transcript) -> None:
        batch: list[bytes] = []
        size = 0
        for number, event in enumerate(transcript.events):
            if (item := self._item(transcript, number, event)) is None:
                self._report.events["left out by the project"] += 1
                continue
            if batch and (len(batch) == _EVENTS or size + len(item) > MOST_BYTES):
                self._post(batch)
                batch, size = [], 0
            batch.append(item)
            size += len(item)
        self._post(batch)

    def _post(self, batch: Sequence[bytes]) -> None:
        answer = json.loads(self._remote.send("POST", "/hook/batch", b"[" + b",".join(batch) + b"]", patient=True))
        self._report.events.update(each["outcome"] for each in answer["results"])
        for each in answer["results"]:
            if each["outcome"] not in _FINE:
                raise _NotTakenError(each["outcome"], each.get("reason") or "the server does not say why")

    def _item(self, transcript: Transcript, number: int, event: Event) -> bytes | None:
        place = self._place(event.cwd)
        payload = {"session_id": transcript.id, "cwd": event.cwd, "hook_event_name": event.name, **event.body}
        kept = apply_policy(place.markers, event.stem, payload, place.cwd, self._home).body
        if kept is None:
            return None
        header = {
            "created_ms": int(event.at.timestamp() * 1000),
            "key": _key(transcript.id, _place_in(transcript, number)),
            "agent": transcript.agent,
            "event": event.stem,
            "place": place.facts(),
        }
        return item_text(header, json.dumps(kept).encode())

    def _place(self, cwd: str) -> Place:
        if cwd not in self._places:
            self._places[cwd] = look(cwd, self._home)
        return self._places[cwd]

    def _label(self, cwd: str) -> str:
        """Ask which project a directory belongs to; "" for none."""
        if cwd not in self._labels:
            try:
                self._labels[cwd] = self._remote.get("/admin/where", query(self._place(cwd)))["project"]
            except RefusedError as error:
                if error.status not in (400, 422):
                    raise
                self._labels[cwd] = ""
        return self._labels[cwd]

    def _refuse(self, file: Path, reason: str) -> None:
        self._report.refused.append({"file": str(file), "reason": reason})


class _NotTakenError(ValueError):
    """The server does not take a session: what it answered, and why."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


def _folder(agent: str, settings: Settings) -> Path:
    """Find where an agent keeps its transcripts."""
    home, moved = Path(home_directory()), agent_environment()
    if agent == "codex":
        return Path(moved.get("CODEX_HOME") or home / ".codex") / "sessions"
    if settings.sources["transcripts_dir"] != "default":
        return Path(settings["transcripts_dir"]).expanduser()
    return Path(moved.get("CLAUDE_CONFIG_DIR") or home / ".claude") / "projects"


def _states(remote: Remote, sessions: Sequence[Session]) -> list[str]:
    asked = [{"id": each.id, "first": _key(each.id, "first"), "last": _key(each.id, "last")} for each in sessions]
    states: list[str] = remote.post("/admin/backfill", {"sessions": asked}, patient=True)["states"]
    return states


def _place_in(transcript: Transcript, number: int) -> str:
    return {0: "first", len(transcript.events) - 1: "last"}.get(number, str(number))


def _key(session: str, event: str) -> str:
    """Give an event the same key each time, so that it is stored once."""
    return hashlib.sha256(f"backfill {session} {event}".encode("utf-8", "replace")).hexdigest()[:32]


def _tell(report: Mapping[str, Any]) -> None:
    for each in report["refused"]:
        say(f"refused  {each['file']}: {each['reason']}")
    words = _WORDS | ({"imported": "would be imported"} if report["dry_run"] else {})
    counted = ", ".join(f"{report[name]:,} {word}" for name, word in words.items())
    say(f"{many(report['found'], 'session')}: {counted}, {len(report['refused'])} refused")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show how far it is: a bar on a terminal, elsewhere one line."""
    if not sys.stderr.isatty():
        quiet(f"looking at {many(total, 'session')}")
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("sessions", total=total)
        yield lambda done: progress.update(task, completed=done)
