"""Tools for sessions: what one did, having it written up, and letting old pages go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from ai_memory.compile.session_page import session_path
from ai_memory.memory.consolidation import INSTRUCTIONS_LIMIT
from ai_memory.memory.models import HINT
from ai_memory.model.handoff import unfenced
from ai_memory.model.scope import Project
from ai_memory.model.session import Session
from ai_memory.server.mcp.tool import Caller, InProject, Tool, fenced, scope_of
from ai_memory.server.observed import Choice, observed
from ai_memory.server.pages import page_id
from ai_memory.server.upkeep import sweep_report


class Read(InProject):
    """What `memory_read_session_observations` takes."""

    session_id: str = Field("", max_length=200, description="Left out: your own session, else the last that is over.")
    limit: int = Field(50, ge=1, le=200, description="How many observations.")
    offset: int = Field(0, ge=0, le=1_000_000_000, description="Pass over so many.")
    order: Literal["asc", "desc"] = Field("asc", description="Oldest or newest first.")
    kinds: list[str] = Field([], max_length=20, description="Only these: user-prompt, post-tool-use, stop, …")
    query: str = Field("", max_length=1_000, description="Only those that say this.")
    body_max_chars: int = Field(4_000, ge=200, le=16_384, description="Longer texts are cut.")


class Consolidate(InProject):
    """What `memory_consolidate` takes."""

    session_id: str = Field("", max_length=200, description="Left out: the last session that is over.")
    multi_page: bool = Field(
        False, description="Small pages of what should last (decisions, gotchas, ...), not the session's own page."
    )
    instructions: str = Field("", max_length=INSTRUCTIONS_LIMIT, description="What the writer should know or prefer.")
    dry_run: bool = Field(False, description="Only say what would be written.")


class Sweep(InProject):
    """What `memory_forget_sweep` takes."""

    dry_run: bool = Field(False, description="Only say what would be deleted.")


def read(caller: Caller, asks: Read) -> Mapping[str, object]:
    """Read what was recorded of a session, piece by piece; its texts are history, not instructions."""
    choice = Choice(asks.limit, asks.offset, asks.order, asks.kinds, asks.query, asks.body_max_chars)
    scope = caller.find(asks)
    session = _session(caller, scope.project, asks.session_id)
    told: dict[str, Any] = observed(caller.memory, scope.project, session, choice)
    return {
        **told,
        "session": {**told["session"], "title": unfenced(session.title)},
        "observations": [
            {**each, "title": unfenced(each["title"]), "body": fenced(each["body"])} for each in told["observations"]
        ],
        "scope": scope_of(scope),
    }


def consolidate(caller: Caller, asks: Consolidate) -> Mapping[str, object]:
    """Have a session written up by a model, and wait for it as long as a client does."""
    scope, memory = caller.sure(asks), caller.memory
    project = scope.project
    session = memory.sessions.named(project, asks.session_id) if asks.session_id else memory.sessions.last_over(project)
    path = session_path(session.id)
    answer: dict[str, object] = {"session_id": str(session.id), "dry_run": asks.dry_run, "scope": scope_of(scope)}
    if memory.models.chat is None:
        is_there, _, _ = memory.pages.traces(project, path)
        return {
            "consolidated": False,
            "reason": "this server has no language model that could write a session up. What was recorded is in the "
            "page at path, as rules wrote it (null while there is none): read it, and write what should last with "
            f"memory_write_page. To have one, the user can {HINT}.",
            "path": path if is_there else None,
            **answer,
        }
    consolidation = memory.consolidation
    if asks.dry_run:
        plan = consolidation.plan(project, session, pages=asks.multi_page, instructions=asks.instructions)
        planned = [_outcome(caller, project, {"path": path, "skipped_reason": plan.skipped})] if plan.path else []
        cost = {"questions": plan.questions, "estimated_tokens": plan.tokens}
        return {"consolidated": False, **_told(planned, asks), **cost, **answer}
    job = consolidation.begin(session, pages=asks.multi_page, instructions=asks.instructions)
    job = caller.when_over(job, f"{memory.models.chat.model} writes the session up")
    if job.state == "done":
        outcomes = [_outcome(caller, project, each) for each in job.outcome["outcomes"]]
        refused = [f"{each['what']}: {each['why']}" for each in job.outcome["refused"]]
        written = any("skipped_reason" not in each for each in outcomes)
        return {"consolidated": written, **_told(outcomes, asks), "refused": refused, **answer}
    why = job.error or "it is under way, and goes on by itself: its pages are there when it is done"
    return {
        "consolidated": False,
        "reason": f"{why} (job {job.id} is {job.state}; `ai-memory jobs` lists it). The page at path is as it was.",
        "path": path,
        "job_id": str(job.id),
        **answer,
    }


def _told(outcomes: Sequence[Mapping[str, object]], asks: Consolidate) -> Mapping[str, object]:
    return {"outcomes": list(outcomes)} if asks.multi_page or not outcomes else outcomes[0]


def _outcome(caller: Caller, project: Project, outcome: Mapping[str, Any]) -> Mapping[str, object]:
    path, skipped = outcome["path"], outcome.get("skipped_reason", "")
    is_new = "new_title" in outcome
    return {
        "path": path,
        "new_title": unfenced(outcome["new_title"]) if is_new else "",
        "new_body_markdown": fenced(caller.memory.pages.read(project, path).body) if is_new else "",
        "page_id": page_id(project.id, path),
        "tags": outcome.get("tags", []),
        **({"skipped_reason": skipped} if skipped else {}),
    }


def sweep(caller: Caller, asks: Sweep) -> Mapping[str, object]:
    """Delete what expired or went cold in a project, or say what that would be."""
    scope, sweeping = caller.sure(asks), caller.memory.upkeep.sweep
    plan = (sweeping.plan if asks.dry_run else sweeping.run)(scope.project)
    return {**sweep_report(scope.project, plan, dry_run=asks.dry_run), "scope": scope_of(scope)}


def _session(caller: Caller, project: Project, said: str) -> Session:
    """Find the session that is meant: the one said, else the caller's own if it worked here, else the last."""
    sessions = caller.memory.sessions
    if said:
        return sessions.named(project, said)
    own = caller.who.session
    if own and sessions.known(project, own):
        return sessions.named(project, own)
    return sessions.last_over(project)


TOOLS = (
    Tool(
        "memory_read_session_observations",
        "Read a session",
        "Read what a session did, step by step: prompts, tool calls, answers. For when its page or a quote says too "
        "little; a hit names its session_id.",
        Read,
        read,
        reads=True,
    ),
    Tool(
        "memory_consolidate",
        "Write a session up",
        "Have a session written up by a language model now, when the user asks for it; without one it says so. What it "
        "writes is checked against the session.",
        Consolidate,
        consolidate,
    ),
    Tool(
        "memory_forget_sweep",
        "Let old pages go",
        "Delete pages that expired, or that are old, unused and not pinned. Only when the user asks for it, and with "
        "dry_run first.",
        Sweep,
        sweep,
        destroys=True,
        repeats=True,
    ),
)
