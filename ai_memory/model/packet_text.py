"""Packets as text: the block that an agent resumes from, the summary that a person reads, the table of a list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from ai_memory.model.handoff import shortened
from ai_memory.model.packet import Attempt, Decision, Method, Packet, in_utc

#: In characters, of a goal in a table.
_GOAL_WIDTH = 72
#: What is no white space, and marks that turn the writing: taken out after a line was made, one of these would uncover
#: what it begins with.
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufeff]+")
#: What makes a line of markdown more than a paragraph: a heading, a quote, a fence, a rule, a list, a table, HTML.
_BLOCK_START = re.compile(
    r"#{1,6}(?=\s|$)|[>|<]|`{3}|~{3}|[-+*](?=\s|$)|[-=]+$|(?:[-*_]\s*){3,}$|\d{1,9}(?=[.)](?:\s|$))"
)

_INTRODUCTION = """\
# Resume context — ltm Core Memory Packet

An earlier session wrote this packet so that you can go on with its work; take it as the authoritative state of it.

- Locked decisions are settled: keep to them and do not discuss them again.
- Attempts that failed are not to be repeated; build on what they taught.
- 'Next step' is your first action.
"""


def line_of(text: str) -> str:
    """Put untrusted text on one line, without control characters."""
    return " ".join(_CONTROLS.sub("", text).split())


def short_id(packet_id: str) -> str:
    """Give the end of an id, which is what tells two of one day apart."""
    return f"…{line_of(packet_id)[-8:]}"


def relative_time(text: str, now: datetime) -> str:
    """Say how long ago a packet's time was: "just now", "5 min ago", "3 hr ago", "2 d ago", from a week on the date.

    Args:
        text: a packet's created_at; what is none is given back, on one line.
        now: the present, with a zone.
    """
    try:
        age = now - datetime.fromisoformat(f"{in_utc(text)[:19]}Z")
    except ValueError:
        return line_of(text)
    if age < timedelta(minutes=1):
        return "just now"
    if age < timedelta(hours=1):
        return f"{age // timedelta(minutes=1)} min ago"
    if age < timedelta(days=1):
        return f"{age // timedelta(hours=1)} hr ago"
    return f"{age.days} d ago" if age < timedelta(days=7) else in_utc(text)[:10]


def table(rows: Iterable[tuple[str, str, str]]) -> str:
    """Write a list of packets as columns ID, CREATED, GOAL.

    Args:
        rows: id, created_at and goal of each.
    """
    cells = [("ID", "CREATED", "GOAL")]
    cells += [(line_of(id_), line_of(at), shortened(line_of(goal), _GOAL_WIDTH)) for id_, at, goal in rows]
    widths = [max(len(row[column]) for row in cells) for column in (0, 1)]
    return "".join(f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}".rstrip() + "\n" for row in cells)


# The resume block


def resume_block(packet: Packet) -> str:
    """Write what an agent is given to go on from a packet: markdown, what matters most at the beginning and the end.

    No text of the packet can begin a heading, a fence or a list of its own: each stands on one line.
    """
    locked = [decision for decision in packet.decisions if decision.locked]
    tentative = [decision for decision in packet.decisions if not decision.locked]
    failed = [attempt for attempt in packet.attempts if attempt.outcome != "succeeded"]
    worked = [attempt for attempt in packet.attempts if attempt.outcome == "succeeded"]
    sections = [
        _section("Goal", [_inert(packet.goal)]),
        _section("Success criteria (the work is done when all of them hold)", _bullets(packet.success_criteria)),
        _section("Locked decisions (settled)", _decisions(locked)),
        _section("Prior attempts (do not repeat)", _attempts(failed)),
        _section("Your first action", [_inert(packet.next_step)]),
        _section("Constraints", _bullets(packet.constraints)),
        _section("Reusable methods (use them where they fit)", _methods(packet)),
        _section("Attempts that worked", _attempts(worked, confidence=False)),
        _section("Tentative decisions (may be revised)", _decisions(tentative)),
        _section("Open questions", _bullets(packet.open_questions)),
        _section("Project", _project(packet)),
        _reminder(packet, locked=bool(locked)),
        _footer(packet),
    ]
    return "\n".join([_INTRODUCTION, *(section for section in sections if section)])


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {title}", "", *lines, ""]) if any(lines) else ""


def _inert(text: str) -> str:
    """Put a text on one line of markdown of which it is a plain paragraph."""
    line = line_of(text)
    start = _BLOCK_START.match(line)
    if not start:
        return line
    # Of a number it is the dot after it that makes the list.
    place = start.end() if start[0].isdigit() else 0
    return f"{line[:place]}\\{line[place:]}"


def _bullets(items: Iterable[str]) -> list[str]:
    return [f"- {_inert(item)}" for item in items if line_of(item)]


def _under(label: str, text: str) -> list[str]:
    line = line_of(text)
    return [f"  {label}: {line}"] if line else []


def _decisions(decisions: Iterable[Decision]) -> list[str]:
    lines = []
    for decision in decisions:
        lines.append(f"- {_inert(decision.what)}".rstrip())
        lines += _under("Rationale", decision.why) + _under("Consequences", decision.consequences)
    return lines


def _attempts(attempts: Iterable[Attempt], *, confidence: bool = True) -> list[str]:
    lines = []
    for attempt in attempts:
        lines.append(f"- [{attempt.outcome}] {line_of(attempt.tried)}".rstrip())
        lines += _under("Learned", attempt.learned)
        lines += _under("Confidence this outcome is final", attempt.confidence if confidence else "")
    return lines


def _methods(packet: Packet) -> list[str]:
    lines = []
    for method in packet.methods:
        lines.append(f"- **{method.name}** — when: {line_of(method.when_applicable)}".rstrip())
        lines += _under("how", method.how)
    return lines


def _project(packet: Packet) -> list[str]:
    if not packet.project:
        return []
    named = (("Name", line_of(packet.project.name)), ("Ref", line_of(packet.project.ref)))
    return [f"- {label}: {value}" for label, value in named if value]


def _reminder(packet: Packet, *, locked: bool) -> str:
    lines = ["---", "", "## Reminder", "", f"**Your first action: {line_of(packet.next_step)}**"]
    if locked:
        lines += ["", "Keep to the locked decisions above."]
    return "\n".join([*lines, ""])


def _footer(packet: Packet) -> str:
    provenance = packet.provenance
    human, model = (line_of(provenance.author_human), line_of(provenance.author_model)) if provenance else ("", "")
    pairs = [
        ("Packet", f"{line_of(packet.id)} (spec v{packet.ltm_version})"),
        ("Continues", line_of(packet.parent_id)),
        ("Created", f"{in_utc(packet.created_at)[:19]}Z"),
        ("Author", " via ".join(name for name in (human, model) if name)),
        ("Tags", ", ".join(packet.tags)),
    ]
    return _labelled(pairs)


def _labelled(pairs: Sequence[tuple[str, str]]) -> str:
    kept = [(f"{label}:", value) for label, value in pairs if value]
    width = max(len(label) for label, _ in kept)
    return "".join(f"{label:<{width}} {value}\n" for label, value in kept)


# The summary


def summary(packet: Packet, published: tuple[str, str] | None = None) -> str:
    """Write a packet for a person at a terminal: labels, then one indented block for each part that it has.

    Args:
        packet: the packet.
        published: when and where it was published, None for one that is not.
    """
    project = packet.project
    ref = line_of(project.ref) if project else ""
    name = line_of(project.name) if project else ""
    head = [
        ("ID", line_of(packet.id)),
        ("Created", packet.created_at),
        ("Spec", f"v{packet.ltm_version}"),
        ("Continues", line_of(packet.parent_id)),
        ("Published", "  ".join(map(line_of, published)) if published else ""),
        ("Project", f"{name} ({ref})".strip() if ref else name),
        ("Tags", ", ".join(packet.tags)),
    ]
    blocks = [
        _block("Goal", [line_of(packet.goal)]),
        _block("Success criteria", [f"- {line_of(item)}" for item in packet.success_criteria]),
        _block("Constraints", [f"- {line_of(item)}" for item in packet.constraints]),
        _block("Decisions", [line for decision in packet.decisions for line in _decision_lines(decision)]),
        _block("Methods", [line for method in packet.methods for line in _method_lines(method)]),
        _block("Attempts", [line for attempt in packet.attempts for line in _attempt_lines(attempt)]),
        _block("Open questions", [f"- {line_of(item)}" for item in packet.open_questions]),
        _block("Next step", [line_of(packet.next_step)]),
    ]
    return "\n".join([_labelled(head), *(block for block in blocks if block)])


def _block(title: str, lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in (title, *(f"  {line}".rstrip() for line in lines))) if any(lines) else ""


def _decision_lines(decision: Decision) -> list[str]:
    locked = " [locked]" if decision.locked else ""
    return [f"- {line_of(decision.what)}{locked}", *_under("why", decision.why), *_under("then", decision.consequences)]


def _method_lines(method: Method) -> list[str]:
    return [f"- {method.name}", *_under("when", method.when_applicable), *_under("how", method.how)]


def _attempt_lines(attempt: Attempt) -> list[str]:
    sure = f" (confidence: {attempt.confidence})" if attempt.confidence else ""
    return [f"- [{attempt.outcome}] {line_of(attempt.tried)}{sure}", *_under("learned", attempt.learned)]
