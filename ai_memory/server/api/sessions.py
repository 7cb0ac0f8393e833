"""What agents did: sessions, what was recorded of one, and handoffs. Nothing is taken by being read."""

from __future__ import annotations

import re
from uuid import UUID

from ai_memory.errors import BadRequestError, NotFoundError
from ai_memory.model.event import Kind
from ai_memory.model.handoff import Handoff, stamp
from ai_memory.server.api.parameters import choice, flag, limit, number, segment, text
from ai_memory.server.api.route import OF_PROJECT, PROJECT, WORKSPACE, Ask, Route
from ai_memory.server.api.shapes import named
from ai_memory.server.observed import Choice, about, observed

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_FURTHEST = 1_000_000_000
#: State on the wire -> our own: what was withdrawn is as little to be had as what nobody took.
_STATES = {"open": ("open",), "accepted": ("accepted",), "expired": ("expired", "cancelled")}


def _sessions(ask: Ask) -> object:
    values = ask.values
    found, _ = ask.memory.browsing.sessions(
        ask.project, limit=values["limit"], offset=values["offset"], include_open=values["include_open"]
    )
    return {"sessions": [about(each) for each in found]}


def _observations(ask: Ask) -> object:
    values, project = ask.values, ask.project
    said = values["session"]
    if not _ID.fullmatch(said):
        raise BadRequestError(f"{said!r} is not the id of a session: it is a UUID, as the list of sessions has it")
    chosen = Choice(
        limit=values["limit"],
        offset=values["offset"],
        order=values["order"],
        kinds=[kind for kind in values["kinds"].split(",") if kind],
        words=values["q"],
        room=values["body_max_chars"],
    )
    try:
        session = ask.memory.sessions.named(project, str(UUID(said)))
    except NotFoundError:
        raise NotFoundError(f"{project.label} has no session {said}") from None
    return observed(ask.memory, project, session, chosen)


def _handoffs(ask: Ask) -> object:
    values = ask.values
    states = _STATES.get(values["state"], ())
    found = ask.memory.browsing.handoffs([ask.project], states=states, limit=values["limit"])
    return {"handoffs": [_told(each) for each in found]}


def _told(handoff: Handoff) -> dict[str, object]:
    told: dict[str, object] = {
        "id": str(handoff.id),
        "agent": handoff.from_agent,
        "at": stamp(handoff.created_at),
        "state": next(said for said, ours in _STATES.items() if handoff.state in ours),
        "summary": handoff.summary,
        "open_questions": list(handoff.open_questions),
        "next_steps": list(handoff.next_steps),
        "redacted": False,
        "files_touched": list(handoff.files_touched),
    }
    unset = {
        "cwd": handoff.cwd,
        "accepted_by": handoff.accepted_by,
        "accepted_at": handoff.accepted_at and stamp(handoff.accepted_at),
    }
    return told | {key: value for key, value in unset.items() if value}


_OFFSET = number("offset", "Pass over so many.", 0, 0, _FURTHEST)

ROUTES = (
    Route(
        f"{OF_PROJECT}/sessions",
        "sessions",
        "The sessions of a project, the last to speak first.",
        named("Sessions"),
        _sessions,
        (
            WORKSPACE,
            PROJECT,
            limit(20),
            _OFFSET,
            flag("include_open", "Also those that are not over."),
        ),
        can_be_missing=True,
    ),
    Route(
        f"{OF_PROJECT}/sessions/{{session}}/observations",
        "observations",
        "What was recorded of a session, piece by piece.",
        named("Observations"),
        _observations,
        (
            WORKSPACE,
            PROJECT,
            segment("session", "The id of a session of the project.", format="uuid"),
            limit(50, 200),
            _OFFSET,
            choice("order", "Oldest or newest first.", ("asc", "desc"), "asc", "unknown order"),
            text("kinds", f"Only these, with commas between: {', '.join(Kind)}."),
            text("q", "Only those that say this, in whatever case."),
            number("body_max_chars", "Longer bodies are cut.", 4_000, 200, 16_384),
        ),
        can_be_missing=True,
    ),
    Route(
        f"{OF_PROJECT}/handoffs",
        "handoffs",
        "The handoffs of a project, newest first; none is taken.",
        named("Handoffs"),
        _handoffs,
        (
            WORKSPACE,
            PROJECT,
            choice("state", "Only those in this state.", tuple(_STATES), "", "unknown handoff state"),
            limit(50, 200),
            flag("all_owners", "Taken, and changes nothing: a handoff belongs to all who may ask here."),
        ),
        can_be_missing=True,
    ),
)
