"""Session start: deliver what waits, then ask for the context of the session, all within a second."""

from __future__ import annotations

import threading
import time
from urllib.parse import urlencode

from . import deliver, notes, reach
from .place import query
from .quick_json import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .agents import Agent
    from .place import Place

#: Seconds from the start of the process to when the delivery is abandoned, and to when everything is.
_DELIVERY = 0.6
_EVERYTHING = 0.9
#: No batch begins so shortly before the end of the delivery.
_RESERVE = 0.2
_BATCH = 64
_FENCE = ("<!-- ai-memory:untrusted-history:start -->", "<!-- ai-memory:untrusted-history:end -->")
_CUT = "\n\n[The rest is left out: it was too long. Ask the memory for it.]\n"


class Start:
    """What the start of a session found.

    Attributes:
        context: the text for the model, or "".
        finished: whether everything that waited was delivered, so that no drainer is needed.
    """

    def __init__(self) -> None:
        self.context = ""
        self.finished = False


def begin(data_dir: str, agent: Agent, place: Place, session_id: str, strategy: str, started: float) -> Start:
    """Deliver and ask; back in time whatever the server does.

    Args:
        data_dir: the data directory.
        agent: who starts.
        place: where.
        session_id: the agent's own id of the session, to which what is claimed gets bound.
        strategy: the environment's project strategy, or "".
        started: when the process started, on `time.monotonic`'s clock.

    Raises:
        MarkerError: the marker is bad, so it is not known which project's context is meant.
    """
    strategy = strategy or str(reach.client_settings(data_dir).get("project_strategy") or "")
    parameters = {"agent": agent.name, **query(place, strategy), "session_id": session_id}
    found = Start()
    worker = threading.Thread(target=_work, args=(data_dir, agent, parameters, started, found), daemon=True)
    worker.start()
    worker.join(max(0.0, started + _EVERYTHING - time.monotonic()))
    return found


def _work(data_dir: str, agent: Agent, parameters: dict[str, str], started: float, found: Start) -> None:
    try:
        wait = max(0.0, started + _DELIVERY - _RESERVE - time.monotonic())
        result = deliver.drain(data_dir, started + _DELIVERY, lock_wait=wait, batch=_BATCH, reserve=_RESERVE)
    except OSError as error:
        notes.add(data_dir, "unwritable", f"delivery: {error}")
        answered = found.finished = True
    else:
        answered = result.answered
        found.finished = result.outcome in ("done", "left")
    # A server that is late would take the question, mark the handoff as taken, and give it to nobody. Another process
    # that still delivers is no reason not to ask: the source of what it holds counts as in the middle of a turn.
    if agent.injects and answered:
        found.context = fitted(_fetch(data_dir, parameters, started), agent.context_limit)


def _fetch(data_dir: str, parameters: dict[str, str], started: float) -> str:
    path = "/handoff?" + urlencode({name: value for name, value in parameters.items() if value}, errors="replace")
    for token in reach.tokens(data_dir):
        try:
            left = started + _EVERYTHING - 0.02 - time.monotonic()
            # The server leaves a handoff open that it cannot give away in this time.
            patient = f"{path}&wait_ms={max(0, int(left * 1000))}"
            answer = reach.ask(reach.server_url(data_dir), patient, token=token, seconds=left)
        except reach.UnreachableError as error:
            notes.add(data_dir, "unreachable", f"context: {error}")
            return ""
        if answer.status != 401:
            return _text(data_dir, answer)
    notes.add(data_dir, "refused", "context: the token was refused (401)")
    return ""


def _text(data_dir: str, answer: reach.Answer) -> str:
    if answer.status == 200 and answer.kind.startswith("text/plain"):
        try:
            return answer.body.decode("utf-8").strip()
        except UnicodeDecodeError:
            notes.add(data_dir, "bad-answer", "context: not UTF-8")
            return ""
    notes.add(data_dir, "bad-answer", f"context: {answer.status} {answer.kind}")
    return ""


def reply(agent: Agent, context: str) -> bytes:
    """Write the answer to a session start as this agent reads it."""
    if agent.start_reply != "hook-json":
        return context.encode("utf-8", "replace")
    if not context:
        return b"{}\n"
    output = {"hookEventName": "SessionStart", "additionalContext": context}
    return dumps({"hookSpecificOutput": output}).encode() + b"\n"


def fitted(text: str, limit: int) -> str:
    """Cut a text to fewer than `limit` UTF-16 units at the end of a line; an open fence is closed again."""
    if _units(text) < limit:
        return text
    tail = (_FENCE[1] if _FENCE[0] in text else "") + _CUT
    room = limit - 1 - _units(tail) - 1
    kept = text.encode("utf-16-le", "surrogatepass")[: room * 2].decode("utf-16-le", "ignore")
    kept = kept[: kept.rfind("\n")] if "\n" in kept else kept
    if kept.count(_FENCE[0]) <= kept.count(_FENCE[1]):
        tail = _CUT
    return kept + "\n" + tail.lstrip("\n")


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
