"""The automatic handoff of a session, by rules alone."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ai_memory.compile.account import Account, first_request, last_request
from ai_memory.compile.session_page import session_path
from ai_memory.model.event import WORK, Kind, Observation
from ai_memory.model.handoff import Handoff, shortened, within_limits
from ai_memory.model.scope import Project
from ai_memory.model.session import Session

_HANDED_OVER = WORK | {Kind.STOP, Kind.POST_COMPACTION}
_PROMPT_QUOTE = 700
_ANSWER_QUOTE = 1_500


def generation_of(observations: Sequence[Observation]) -> int:
    """Count the observations up to the last one that was work: a start or an end adds nothing to hand over."""
    worked = (n for n, observation in enumerate(observations, start=1) if observation.kind in _HANDED_OVER)
    return max(worked, default=0)


def automatic_handoff(
    session: Session,
    observations: Sequence[Observation],
    account: Account,
    project: Project,
    *,
    handoff_id: UUID,
    packet_id: str = "",
) -> Handoff:
    """Compile the handoff of a session so far; `account` is the account of `observations`."""
    return within_limits(
        Handoff(
            id=handoff_id,
            workspace_id=project.workspace_id,
            project_id=project.id,
            from_session=session.id,
            from_agent=session.agent,
            cwd=session.cwd,
            summary=_summary(session, account),
            open_questions=account.questions,
            next_steps=_next_steps(account),
            files_touched=account.files,
            generation=generation_of(observations),
            created_at=session.last,
            packet_id=packet_id,
        )
    )


def _summary(session: Session, account: Account) -> str:
    first, last = first_request(account), last_request(account)
    parts = []
    if first:
        parts.append(f"Asked: {shortened(first, _PROMPT_QUOTE)}")
    if last and last != first:
        parts.append(f"Asked last: {shortened(last, _PROMPT_QUOTE)}")
    if account.last_answer:
        parts.append(f"Last answer: {_ends(account.last_answer, _ANSWER_QUOTE)}")
    earlier = [quote for quote in account.decisions if quote.text not in account.last_answer and quote.text not in last]
    if earlier:
        quotes = "\n".join(f"- {quote.text} ({quote.by})" for quote in earlier[-4:])
        parts.append(f"Decided:\n{quotes}")
    if not parts:
        parts.append(f"Session ended; {session.observations} observations recorded.")
    parts.append(f"Details: {session_path(session.id)}")
    return "\n\n".join(parts)


def _next_steps(account: Account) -> tuple[str, ...]:
    steps = list(account.next_steps)
    steps += [
        f"Failed and not seen to work since: {failure.what}" + (f" — {failure.said}" if failure.said else "")
        for failure in account.failures
        if not failure.fixed
    ]
    if account.prompts and not account.finished:
        why = f" ({account.interruption})" if account.interruption else ""
        steps.append(f"Continue from the last request; its turn was not finished{why}.")
    return tuple(steps)


def _ends(text: str, limit: int) -> str:
    """Keep the beginning and, mostly, the end: that is where an answer says what is left."""
    if len(text) <= limit:
        return text
    head = limit // 3
    return f"{text[:head].rstrip()} […] {text[len(text) - (limit - head - 5) :].lstrip()}"
