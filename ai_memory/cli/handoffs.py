"""`handoffs`, `handoff begin|accept|cancel`, `finalize-session`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from ai_memory.cli.place import cwd_option, json_option, project_option, routing_here, workspace_option
from ai_memory.cli.remote import remote_of
from ai_memory.cli.shown import quiet, say
from ai_memory.client.agents import agent_named
from ai_memory.model.packet import parse
from ai_memory.model.packet_text import resume_block


@click.command()
@workspace_option
@project_option
@json_option
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@click.pass_context
def handoffs(ctx: click.Context, workspace: str | None, project: str | None, as_json: bool, limit: int) -> None:
    """List the handoffs that wait for the next session, oldest first (without their content)."""
    query = {"limit": str(limit)}
    if workspace or project:
        query |= {"workspace": workspace or "default", "project": project or ""}
    answer = remote_of(ctx).get("/admin/handoffs", query)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    if not answer["handoffs"]:
        click.echo("no handoff is waiting")
    for row in answer["handoffs"]:
        made = datetime.fromtimestamp(row["created_at_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        kind = f"from {agent_named(row['from_agent']).title}" if row["from_session_id"] else "by hand"
        target = f" for {row['to_agent']}" if row["to_agent"] else ""
        say(f"{row['id']}  {made}  {row['scope']}  {kind}{target}")
        if row["cwd"]:
            say(f"    {row['cwd']}")


@click.group()
def handoff() -> None:
    """Leave, take or withdraw a handoff by hand."""


@handoff.command()
@click.argument("summary")
@click.option("--question", "-q", "questions", multiple=True, help="An open question (repeatable).")
@click.option("--next", "-n", "steps", multiple=True, help="A next step (repeatable).")
@click.option("--file", "-f", "files", multiple=True, help="A file that matters (repeatable).")
@click.option("--to", "to_agent", help="Only this agent may take it.")
@click.option("--packet", "packet_id", default="", help="Id of a packet that says the same for other tools.")
@cwd_option
@workspace_option
@project_option
@json_option
@click.pass_context
def begin(
    ctx: click.Context,
    summary: str,
    questions: tuple[str, ...],
    steps: tuple[str, ...],
    files: tuple[str, ...],
    to_agent: str | None,
    packet_id: str,
    cwd: Path,
    workspace: str | None,
    project: str | None,
    as_json: bool,
) -> None:
    """Leave a note for the next session in this project; it goes before automatic ones."""
    answer = remote_of(ctx).post(
        "/admin/handoffs/begin",
        {
            "routing": routing_here(cwd, workspace, project),
            "summary": summary,
            "open_questions": questions,
            "next_steps": steps,
            "files_touched": files,
            "to_agent": to_agent or "",
            "packet_id": packet_id,
        },
    )
    _say(answer, as_json, f"left handoff {answer['handoff_id']} in {answer['scope']} ({answer['resolved_by']})")


@handoff.command()
@click.argument("handoff_id", required=False, default="")
@click.option("--agent", default="other", show_default=True, help="Who takes it.")
@click.option("--packet", is_flag=True, help="Print the resume block of its packet instead.")
@cwd_option
@workspace_option
@project_option
@json_option
@click.pass_context
def accept(
    ctx: click.Context,
    handoff_id: str,
    agent: str,
    packet: bool,
    cwd: Path,
    workspace: str | None,
    project: str | None,
    as_json: bool,
) -> None:
    """Take the handoff with this id, or the one that the next session would get, and print it."""
    routing = routing_here(cwd, workspace, project)
    answer = remote_of(ctx).post(
        "/admin/handoffs/accept", {"routing": routing, "handoff_id": handoff_id, "agent": agent, "packet": packet}
    )
    taken = answer["handoff"]
    if taken is None:
        _say(answer, as_json, f"no handoff is waiting in {answer['scope']}")
        return
    if packet and not as_json:
        if answer["packet"]:
            # The shortest form: a packet may have the size at which another one would be refused.
            text = json.dumps(answer["packet"], ensure_ascii=False, separators=(",", ":"))
            say(resume_block(parse(text.encode())))
            return
        quiet(f"no packet: {answer['packet_problem']}")
    who = agent_named(taken["from_agent"]).title if taken["from_session_id"] else "left by hand"
    parts = [
        f"{who}, {taken['created_at']}, {answer['scope']}",
        "",
        taken["summary"],
    ]
    for heading, key in (
        ("Open questions", "open_questions"),
        ("Next steps", "next_steps"),
        ("Files", "files_touched"),
    ):
        parts += ["", f"{heading}:", *(f"  - {item}" for item in taken[key])] if taken[key] else []
    parts += ["", f"Packet: {taken['packet_id']}"] if taken["packet_id"] else []
    _say(answer, as_json, "\n".join(parts))


@handoff.command()
@click.argument("handoff_id")
@cwd_option
@workspace_option
@project_option
@json_option
@click.pass_context
def cancel(
    ctx: click.Context, handoff_id: str, cwd: Path, workspace: str | None, project: str | None, as_json: bool
) -> None:
    """Withdraw an open handoff, so that nobody gets it."""
    routing = routing_here(cwd, workspace, project)
    answer = remote_of(ctx).post("/admin/handoffs/cancel", {"routing": routing, "handoff_id": handoff_id})
    _say(answer, as_json, f"cancelled handoff {answer['handoff_id']} in {answer['scope']}")


@click.command()
@click.option("--agent", default="codex", show_default=True, help="Whose sessions.")
@click.option("--all", "every", is_flag=True, help="All that are open, not only the newest.")
@click.option("--session-id", default="", help="This one (its UUID).")
@json_option
@click.pass_context
def finalize_session(ctx: click.Context, agent: str, every: bool, session_id: str, as_json: bool) -> None:
    """Close sessions whose agent never said that they were over: page and handoff are committed now."""
    if every and session_id:
        raise click.UsageError("--all and --session-id exclude each other")
    remote = remote_of(ctx)
    query = {"agent": agent}
    query |= {"all": "1"} if every else {}
    query |= {"session_id": session_id} if session_id else {}
    rows = remote.get("/admin/open-sessions", query)["sessions"]
    for row in rows:
        event = urlencode({"event": "session-end", "agent": row["agent"], "cwd": row["cwd"]})
        remote.send("POST", f"/hook?{event}", json.dumps({"session_id": row["session_id"]}).encode())
    if as_json:
        click.echo(json.dumps({"finalized": rows}, indent=2))
        return
    for row in rows:
        say(f"closed {row['session_id']}  {row['title'] or row['cwd']}")
    if not rows:
        click.echo(f"no open session of {agent_named(agent).title}")


def _say(answer: Any, as_json: bool, text: str) -> None:
    say(json.dumps(answer, indent=2) if as_json else text)
