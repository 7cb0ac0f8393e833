"""The page of a session, by rules alone, and its lines in the project's event ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from ai_memory.compile.account import Account, Failure, quoted
from ai_memory.model.event import Kind, Observation
from ai_memory.model.handoff import shortened, stamp
from ai_memory.model.page import PageChange, bullets, formatted
from ai_memory.model.session import Session

_RAW_ROWS = 500
_ANSWER_LENGTH = 6_000
_PROMPT_LENGTH = 2_000
#: The last line of a page that rules alone have made.
FOOTER = "*Compiled by rules from what the hooks recorded; no model was asked.*\n"


def session_path(session_id: UUID) -> str:
    """Say where a session's page is in its project."""
    return f"sessions/{session_id}.md"


def session_of(path: str) -> UUID | None:
    """Say which session's page has this path, None for any other page."""
    name = path.removeprefix("sessions/").removesuffix(".md")
    try:
        session_id = UUID(name)
    except ValueError:
        return None
    return session_id if path == session_path(session_id) else None


def title_of(session: Session, observations: Sequence[Observation]) -> str:
    """Give the title: a sentence the user typed, else what was done first, else the session's id."""
    if session.title:
        return session.title
    done = next((o.title for o in observations if o.kind is Kind.POST_TOOL_USE and o.title), "")
    return f"{done} session" if done else f"Session {session.id}"


def summary_of(session: Session, account: Account) -> str:
    """Write the one line of counts: "2 prompts, 5 tool calls (Bash, Edit), 3 m"."""
    names = [name for name, _ in sorted(account.tools.items(), key=lambda item: (-item[1], item[0]))]
    tools = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    calls = sum(account.tools.values())
    parts = [
        _number(session.prompts, "prompt"),
        _number(calls, "tool call") + (f" ({tools})" if tools else ""),
        _duration(session.last - session.started),
    ]
    return ", ".join(parts)


def session_page(
    session: Session,
    observations: Sequence[Observation],
    account: Account,
    *,
    continues: str = "",
    packet: str = "",
) -> PageChange:
    """Compile the page `sessions/<id>.md`.

    Args:
        session: the session.
        observations: all of its observations; the page's mark says how many.
        account: what they amount to.
        continues: the path of the session page whose handoff this session took, or "".
        packet: the path of the page of this session's packet, or "".
    """
    title = title_of(session, observations)
    summary = summary_of(session, account)
    front: dict[str, object] = {
        "title": title,
        "type": "Session Summary",
        "kind": "session",
        "tier": "episodic",
        "summary": summary,
        "session_id": str(session.id),
        "agent": session.agent,
        "started": stamp(session.started),
        "ended": stamp(session.last),
        **({"directory": session.cwd} if session.cwd else {}),
        "prompts": session.prompts,
        "tools": session.tools,
        "observations": session.observations,
    }
    if session.native not in ("", str(session.id)):
        front["native"] = session.native
    sections = [
        f"# {title}\n\n{summary}.\n",
        f"Continues [[{continues}]].\n" if continues else "",
        f"Packet: [[{packet}]].\n" if packet else "",
        _section("Prompts", _prompts(account)),
        _section("Last answer", quoted(shortened(account.last_answer, _ANSWER_LENGTH))),
        _section("How it stopped", _stop(account)),
        _section("Decisions", bullets([f"{quote.text} ({quote.by})" for quote in account.decisions])),
        _section("Open questions", bullets(account.questions)),
        _section("Next steps", bullets(account.next_steps)),
        _section("Files touched", bullets([f"`{file}`" for file in account.files])),
        _section("Commands that failed", "".join(_failure(failure) for failure in account.failures)),
        _section("Session metadata", _metadata(session)),
        _section("Tool calls", bullets([f"`{name}`: {n}" for name, n in sorted(account.tools.items())])),
        _section("Raw observations", _raw(observations)),
        FOOTER,
    ]
    return PageChange(session_path(session.id), formatted(front, "\n".join(part for part in sections if part)))


def session_in(front: Mapping[str, object], *, project_id: UUID, session_id: UUID) -> Session | None:
    """Read a session back from the front matter of its page; None where that does not say when it was."""
    started, last = _time(front.get("started")), _time(front.get("ended"))
    count = _count(front.get("observations"), 0)
    if started is None or last is None or not count:
        return None
    return Session(
        project_id=project_id,
        id=session_id,
        native=str(front.get("native") or session_id),
        agent=str(front.get("agent") or "other"),
        cwd=str(front.get("directory") or ""),
        started=started,
        last=last,
        observations=count,
        # A session without either has no page; pages had no such lines at first.
        prompts=_count(front.get("prompts"), 1),
        tools=_count(front.get("tools"), 0),
        ended=count,
        title=str(front.get("title") or ""),
        compiled=count,
        committed=count,
    )


def ledger_lines(observations: Sequence[Observation]) -> dict[str, str]:
    """Write the ledger's lines: file name (`log-YYYY-MM.md`) -> one heading line an observation."""
    files: dict[str, list[str]] = {}
    for observation in observations:
        line = f"## [{stamp(observation.at)}] {observation.kind} | {_one_line(observation.title)}\n"
        files.setdefault(f"log-{observation.at:%Y-%m}.md", []).append(line)
    return {path: "".join(lines) for path, lines in files.items()}


def _section(heading: str, content: str) -> str:
    return f"## {heading}\n\n{content}" if content else ""


def _prompts(account: Account) -> str:
    numbered = enumerate(account.prompts, start=1)
    return "".join(f"{number}. {_one_line(shortened(text, _PROMPT_LENGTH))}\n" for number, text in numbered)


def _stop(account: Account) -> str:
    if account.finished:
        return ""
    if account.interruption:
        return f"The last turn did not end by itself: {account.interruption}.\n"
    return "The last turn had not come to its end when this page was written.\n" if account.prompts else ""


def _failure(failure: Failure) -> str:
    later = " (worked later)" if failure.fixed else ""
    said = f": {_one_line(failure.said)}" if failure.said else ""
    return f"- `{_one_line(failure.what)}`{later}{said}\n"


def _metadata(session: Session) -> str:
    return bullets(
        [
            f"session id: `{session.id}`",
            f"agent: {session.agent}",
            f"directory: `{session.cwd}`",
            f"started: {stamp(session.started)}",
            f"ended: {stamp(session.last)}",
            f"observations: {session.observations}",
        ]
    )


def _raw(observations: Sequence[Observation]) -> str:
    rows = [f"`{o.kind}` {stamp(o.at)} {_one_line(o.title)}" for o in observations]
    if len(rows) > _RAW_ROWS:
        half = _RAW_ROWS // 2
        rows = [*rows[:half], f"*{len(rows) - _RAW_ROWS} rows left out*", *rows[-half:]]
    return bullets(rows)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _duration(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} m" if seconds < 7_200 else f"{seconds // 3_600} h"


def _time(value: object) -> datetime | None:
    """Read a time of the front matter, which YAML may have read already."""
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _count(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 31 else otherwise


def _one_line(text: str) -> str:
    return " ".join(text.split())
