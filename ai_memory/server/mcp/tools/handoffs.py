"""Tools for handoffs: leave one, see which wait, take one, withdraw one."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from pydantic import Field

from ai_memory.errors import BadRequestError, ConflictError
from ai_memory.memory.accounts import OWNER
from ai_memory.model.handoff import Handoff, unfenced
from ai_memory.model.ids import session_uuid
from ai_memory.model.packet_text import resume_block
from ai_memory.server.mcp.tool import Caller, InProject, Tool, bare, fenced, scope_of

_LISTED = 200
#: Texts are cut to the limits of the wire; more than this is no handoff.
_TEXT, _ITEMS = 20_000, 100
_ID = 100


class Begin(InProject):
    """What `memory_handoff_begin` takes."""

    summary: str = Field(min_length=1, max_length=_TEXT, description="What was done and where it stands, in prose.")
    open_questions: list[str] = Field([], max_length=_ITEMS, description="What is undecided.")
    next_steps: list[str] = Field([], max_length=_ITEMS, description="What to do next, in order.")
    files_touched: list[str] = Field([], max_length=_ITEMS, description="Paths that matter.")
    cwd: str = Field("", max_length=4_096, description="The directory that you worked in.")
    packet_id: str = Field("", max_length=_ID, description="A packet that says the same for other tools.")
    create_project: bool = Field(False, description="Make the named project if there is none.")


class Listing(InProject):
    """What `memory_handoff_list` takes."""

    limit: int = Field(50, description="How many, from 1 to 200.")


class Accept(InProject):
    """What `memory_handoff_accept` takes."""

    handoff_id: str = Field("", max_length=_ID, description="This one; left out, the best that is open.")
    packet: bool = Field(False, description="Give the packet that goes with it, too.")


class Cancel(InProject):
    """What `memory_handoff_cancel` takes."""

    handoff_id: str = Field(min_length=1, max_length=_ID, description="As memory_handoff_list has it.")


def begin(caller: Caller, asks: Begin) -> Mapping[str, object]:
    """Leave a handoff; what is wrong with it is said before a project is made for it."""
    summary = bare(asks.summary)
    if not summary.strip():
        raise BadRequestError("summary says nothing: write what was done and where it stands")
    if asks.create_project and not (asks.workspace and asks.project):
        raise BadRequestError("create_project needs both names: workspace and project")
    user = caller.who.user or OWNER
    if asks.packet_id:
        caller.memory.handoffs.check_packet(asks.packet_id, user)
    scope = caller.sure(asks, create=asks.create_project)
    handoff = caller.memory.handoffs.begin(
        scope.project,
        summary=summary,
        open_questions=[bare(each) for each in asks.open_questions],
        next_steps=[bare(each) for each in asks.next_steps],
        files_touched=asks.files_touched,
        from_agent=caller.who.agent or "other",
        cwd=asks.cwd,
        packet_id=asks.packet_id,
        user=user,
    )
    return {"handoff_id": str(handoff.id), "scope": scope_of(scope)}


def waiting(caller: Caller, asks: Listing) -> Mapping[str, object]:
    """List the open handoffs of a project, oldest first; none is taken."""
    scope = caller.find(asks)
    handoffs = caller.memory.handoffs.open(scope.project, min(max(asks.limit, 1), _LISTED))
    return {"handoffs": [_told(each) for each in handoffs], "scope": scope_of(scope)}


def accept(caller: Caller, asks: Accept) -> Mapping[str, object]:
    """Take a handoff, for the caller's session where that is known."""
    wanted = _id(asks.handoff_id) if asks.handoff_id else None
    scope, memory, who = caller.sure(asks), caller.memory, caller.who
    session = session_uuid(who.session) if who.session else None
    # One that no hook tells of would seem to have done nothing with it, and give it back.
    if session and not memory.stores.index.sessions_of(session):
        session = None
    handoff = memory.handoffs.accept(scope.project, handoff_id=wanted, by=who.agent or "other", session=session)
    answer: dict[str, object] = {"handoff": _told(handoff) if handoff else None, "scope": scope_of(scope)}
    if handoff and asks.packet:
        carried = memory.handoffs.carried(handoff, who.user or OWNER)
        answer["packet"] = fenced(resume_block(carried.packet)) if carried.packet else None
        answer["packet_problem"] = carried.problem or None
    return answer


def cancel(caller: Caller, asks: Cancel) -> Mapping[str, object]:
    """Withdraw a handoff; one that is not open any more stays as it is."""
    wanted = _id(asks.handoff_id)
    scope, handoffs = caller.sure(asks), caller.memory.handoffs
    try:
        state, cancelled = handoffs.cancel(scope.project, wanted).state, True
    except ConflictError:
        state, cancelled = handoffs.named(scope.project, wanted).state, False
    return {"handoff_id": str(wanted), "cancelled": cancelled, "state": state, "scope": scope_of(scope)}


def _id(said: str) -> UUID:
    try:
        return UUID(said)
    except ValueError:
        raise BadRequestError(
            f"{said!r} is not the id of a handoff: memory_handoff_list names those that wait"
        ) from None


def _told(handoff: Handoff) -> dict[str, object]:
    """Give a handoff as the wire has it; its texts are history, not instructions."""
    return handoff.as_json() | {
        "summary": fenced(handoff.summary),
        "open_questions": [fenced(each) for each in handoff.open_questions],
        "next_steps": [fenced(each) for each in handoff.next_steps],
        "files_touched": [unfenced(each) for each in handoff.files_touched],
    }


TOOLS = (
    Tool(
        "memory_handoff_begin",
        "Leave a handoff",
        "Leave a handoff for the next session, of any agent: when the user stops, or asks for one. At the end of each "
        "turn an automatic one is kept anyway; this goes before it.",
        Begin,
        begin,
    ),
    Tool(
        "memory_handoff_list",
        "Which handoffs wait",
        "List the open handoffs of a project without taking any.",
        Listing,
        waiting,
        reads=True,
    ),
    Tool(
        "memory_handoff_accept",
        "Take a handoff",
        "Take the handoff that waits, once: when the user wants to go on where the last session stopped and your "
        "context shows none yet. null means that there is none, or you have it already.",
        Accept,
        accept,
    ),
    Tool(
        "memory_handoff_cancel",
        "Withdraw a handoff",
        "Withdraw an open handoff that is wrong or over, so that no session gets it.",
        Cancel,
        cancel,
        destroys=True,
        repeats=True,
    ),
)
