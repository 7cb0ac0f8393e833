"""From what an agent sent to what is kept: one payload in, one observation out, or the reason for none. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from ai_memory.capture.plain import capped, cleaned, first_line, flat, without_hook_context
from ai_memory.capture.tools import Scrub, ToolEvent, without_ids
from ai_memory.client.agents import STEMS, Agent
from ai_memory.model.event import Kind, Observation, Scrubbed, ToolCall
from ai_memory.model.ids import session_uuid
from ai_memory.model.title import NOT_CAPTURED

#: Bytes of UTF-8 that are kept of a body, applied after scrubbing.
TEXT_LIMIT = 65_536
OTHER_LIMIT = 2_000

_SESSION_KEYS = ("session_id", "sessionId", "sessionID", "session", "conversationId")
_INFO_PLACES = (
    *(("payload",), ("event",), ("properties",), ("properties", "info"), ("info",), ("path",), ("input",)),
    *(("event", "properties"), ("event", "properties", "info"), ("payload", "info")),
    *(("payload", "properties"), ("payload", "properties", "info")),
)
#: What some clients send before they know their session.
_NO_SESSIONS = frozenset(("", "unknown", "undefined", "null", "none", "default", "new", str(UUID(int=0))))
_DIRECTORY_KEYS = ("cwd", "current_dir", "working_dir", "directory")
_ROOT_KEYS = ("workspacePaths", "workspace_roots")

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OTHER_SPELLINGS = {
    "user-prompt-submit": "user-prompt",
    "before-submit-prompt": "user-prompt",
    "before-agent": "user-prompt",
    "before-tool": "pre-tool-use",
    "after-tool": "post-tool-use",
    "post-tool-use-failure": "post-tool-use",
    "pre-compress": "pre-compact",
    "post-compact": "post-compaction",
    "after-agent": "stop",
    "stop-failure": "stop",
    "interrupt": "stop",
    "subagent-end": "subagent-stop",
}
_NOTE = re.compile(r"[^\w.:-]+")

_PROMPT_KEYS = ("prompt", "user_prompt", "userPrompt", "message", "text", "query", "content", "input", "messages")
_ANSWER_KEYS = (
    *("last_assistant_message", "prompt_response", "assistant_message", "lastAssistantMessage", "response"),
    *("text", "output", "message", "content", "answer"),
)
_SUMMARY_KEYS = ("summary", "compact_summary", "compactSummary")
_NOTICE_KEYS = ("message", "text")
_TITLE_KEYS = ("title", "summary", "subject", "name")
_BODY_KEYS = ("body", "message", "text", "description", "summary", "details", "reason")
#: Keys that say where and by what an event was sent, not what happened.
_FRAME_KEYS = frozenset(
    (
        *(
            "cwd",
            "current_dir",
            "working_dir",
            "directory",
            "workspace_roots",
            "workspacePaths",
            "transcript_path",
            "model",
        ),
        *("hook_event_name", "hookEventName", "event_name", "timestamp", "occurred_at", "permission_mode", "effort"),
        *("cursor_version", "version", "type", "stop_hook_active", "session", "duration_ms", "agent", "agent_type"),
        *("tool_name", "tool", "tool_input", "mcp_server", "mcp_context"),
    )
)


@dataclass(frozen=True, slots=True)
class Skipped:
    """An event that is not kept, and why: "subagent", "own-tool", "task-notification", "noise" or "no-content"."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a kind of event gives to its observation, still as it was sent."""

    title: str = ""
    body: str = ""
    note: str = ""
    limit: int = OTHER_LIMIT
    tool: ToolCall | None = None


@lru_cache(1024)
def stem_of(event: str, agent: Agent) -> str:
    """Give the canonical name of an event: a stem, "" for one that is never worth storing, "other" when unknown.

    The agent's own names come first, then every spelling of the stems ("user_prompt", "UserPromptSubmit").
    """
    if event in agent.events:
        return agent.events[event]
    word = _CAMEL.sub("-", event.strip()).replace("_", "-").lower()
    word = _OTHER_SPELLINGS.get(word, word)
    return word if word in STEMS else "other"


def session_key(payload: Mapping[str, Any], query_session_id: str = "") -> tuple[str, UUID] | None:
    """Give the agent's own session id and its UUID, None when the event names no session."""
    for path in ((), *_INFO_PLACES):
        place = _at(payload, path)
        for key in _SESSION_KEYS if place else ():
            if _is_session(place.get(key)):
                return _identified(place[key])
    for path in _INFO_PLACES:
        if path[-1] == "info" and _is_session(_at(payload, path).get("id")):
            return _identified(_at(payload, path)["id"])
    return _identified(query_session_id) if _is_session(query_session_id) else None


def cwd_of(payload: Mapping[str, Any]) -> str:
    """Give the directory that a payload names, "" when it names none."""
    for key in _DIRECTORY_KEYS:
        if isinstance(payload.get(key), str) and payload[key]:
            return cleaned(payload[key])
    for key in _ROOT_KEYS:
        roots = payload.get(key)
        if isinstance(roots, list) and roots and isinstance(roots[0], str) and roots[0]:
            return cleaned(roots[0])
    for outer in ((), ("payload",)):
        for path, key in (
            (("path",), "cwd"),
            (("info",), "directory"),
            (("properties", "info"), "directory"),
            (("event", "properties", "info"), "directory"),
            (("input",), "cwd"),
        ):
            value = _at(payload, (*outer, *path)).get(key)
            if isinstance(value, str) and value:
                return cleaned(value)
    inner = payload.get("payload")
    return cwd_of(inner) if isinstance(inner, dict) else ""


def observe(
    *,
    event: str,
    agent: Agent,
    payload: Mapping[str, Any],
    at: datetime,
    scrub: Scrub,
    key: str = "",
    cwd: str = "",
    extension: str = "",
    source_event: str = "",
    prompts: bool = True,
    answers: bool = True,
) -> Observation | Skipped:
    """Make the observation of one event.

    Args:
        event: its name on the wire: a stem or the agent's own name.
        agent: who sent it.
        payload: the body as it came; no text of it is cut before it is scrubbed.
        at: when it happened.
        scrub: `Scrubber.scrub`.
        key: the client's idempotency key.
        cwd: the directory to fall back to when the payload names none.
        extension: the namespace of a third party's event, kept as the note.
        source_event: the original name of the event, if it is not in the payload.
        prompts: whether the text of prompts is kept.
        answers: whether the text of answers is kept.
    """
    original = source_event or _text(payload, ("hook_event_name", "hookEventName")) or event
    stem = stem_of(event, agent)
    if not stem or agent.events.get(original) == "" or _at(payload, ("input",)).get("agent") == "title":
        return Skipped("noise")
    if stem.startswith("subagent") or _is_subagent(payload, stem):
        return Skipped("subagent")
    payload = _flattened(payload)
    places = tuple(_places(payload))
    kind = Kind(stem)
    cwd = scrub(cwd_of(payload) or cleaned(cwd))
    if kind in (Kind.PRE_TOOL_USE, Kind.POST_TOOL_USE):
        tool = ToolEvent(payload, places)
        if tool.is_ours(agent, payload):
            return Skipped("own-tool")
        parts = _tool_parts(tool, kind, agent, payload, failed=_is_failure(original), scrub=scrub, cwd=cwd)
    elif kind is Kind.USER_PROMPT:
        found = _prompt_parts(places, payload, kept=prompts)
        if isinstance(found, Skipped):
            return found
        parts = found
    else:
        parts = _other_parts(kind, agent, payload, places, original, answers=answers)
        if kind in (Kind.NOTIFICATION, Kind.OTHER) and not parts.body:
            return Skipped("no-content")
    body = scrub(cleaned(parts.body)).strip()
    title = first_line(
        scrub(cleaned(parts.title)) if parts.title else Scrubbed(body if kind is Kind.USER_PROMPT else "")
    )
    return Observation(
        at=at,
        kind=kind,
        agent=agent.name,
        source_event=_note(original, scrub),
        title=title or Scrubbed(kind.value),
        body=capped(Scrubbed(body), parts.limit),
        key=key,
        cwd=cwd,
        tool=parts.tool,
        note=_note(extension if extension and kind is Kind.OTHER else parts.note, scrub),
    )


def _tool_parts(
    tool: ToolEvent, kind: Kind, agent: Agent, payload: Mapping[str, Any], *, failed: bool, scrub: Scrub, cwd: str
) -> _Parts:
    if kind is Kind.PRE_TOOL_USE:
        return _Parts(title=tool.name, tool=tool.as_call("unknown", scrub))
    outcome = tool.outcome(agent, failed=failed)
    policy = _at(payload, ("_ai_memory_capture",))
    body = "" if policy.get("disposition") == "metadata-only" else tool.excerpt(outcome, cwd, scrub)
    if body == "(no output)" and tool.response is None and not tool.command:
        body = _anything(payload) or body
    return _Parts(title=tool.name, body=body, tool=tool.as_call(outcome, scrub))


def _prompt_parts(places: Sequence[Mapping[str, Any]], payload: Mapping[str, Any], *, kept: bool) -> _Parts | Skipped:
    prompt = _first_text(places, _PROMPT_KEYS) or _anything(payload)
    if prompt.lstrip().startswith("<task-notification>"):
        return Skipped("task-notification")
    if not kept or (not prompt and "_ai_memory_capture" in payload):
        return _Parts(title=NOT_CAPTURED)
    prompt = cleaned(without_hook_context(prompt)).strip()
    return _Parts(body=prompt, limit=TEXT_LIMIT) if prompt else Skipped("no-content")


def _other_parts(
    kind: Kind,
    agent: Agent,
    payload: Mapping[str, Any],
    places: Sequence[Mapping[str, Any]],
    original: str,
    *,
    answers: bool,
) -> _Parts:
    if kind is Kind.SESSION_START:
        return _Parts(title=_text(payload, ("model",)), note=_text(payload, ("source",)))
    if kind is Kind.SESSION_END:
        return _Parts(note=_text(payload, ("reason",)))
    if kind is Kind.STOP:
        return _stop_parts(agent, payload, places, original, answers=answers)
    if kind is Kind.PRE_COMPACT:
        return _Parts(body=_text(payload, ("custom_instructions",)), note=_text(payload, ("trigger",)))
    if kind is Kind.POST_COMPACTION:
        # A summary tells prompts and answers again.
        summary = _first_text(places, _SUMMARY_KEYS) if answers else ""
        return _Parts(title=summary, body=summary, note=_text(payload, ("trigger",)), limit=TEXT_LIMIT)
    if kind is Kind.NOTIFICATION:
        said = _first_text(places, _NOTICE_KEYS) or _anything(payload)
        return _Parts(title=said, body=said, note=_text(payload, ("notification_type",)))
    title = _first_text(places, _TITLE_KEYS) or original
    return _Parts(title=title, body=_first_text(places, _BODY_KEYS) or _anything(payload))


def _stop_parts(
    agent: Agent, payload: Mapping[str, Any], places: Sequence[Mapping[str, Any]], original: str, *, answers: bool
) -> _Parts:
    if original == "Interrupt":
        return _Parts(note="interrupt")
    answer = _first_text(places, _ANSWER_KEYS)
    error = _text(payload, ("error",))
    if error:
        # The text of a failed turn tells of the failure; it answers nothing.
        return _Parts(title=answer if answers else "", note=error)
    if not answers:
        return _Parts()
    return _Parts(body=answer or ("" if agent.events else _anything(payload)), limit=TEXT_LIMIT)


def _is_failure(original: str) -> bool:
    return original.lower().replace("-", "").replace("_", "") == "posttoolusefailure"


def _is_subagent(payload: Mapping[str, Any], stem: str) -> bool:
    for place in (payload, _at(payload, ("payload",)), _at(payload, ("event",))):
        if any(isinstance(place.get(key), str) and place[key] for key in ("agent_id", "subagentType")):
            return True
    # OpenCode's sub-agents are sessions with a parent.
    return stem == "session-start" and any(
        isinstance(_at(payload, path).get("parentID"), str) for path in _INFO_PLACES if path[-1] == "info"
    )


def _flattened(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write what an OpenCode plugin function got (`input`, `output`) as the flat payload that hooks send."""
    given, made = payload.get("input"), payload.get("output")
    if not isinstance(given, dict) or not (made is None or isinstance(made, dict)):
        return payload
    made = made or {}
    flat_payload = {key: value for key, value in payload.items() if key not in ("input", "output")} | dict(given)
    if "tool" in given:
        flat_payload["args"] = given.get("args", made.get("args"))
        if "args" not in made:
            flat_payload["tool_response"] = made
    elif isinstance(made.get("parts"), list):
        typed = [part for part in made["parts"] if isinstance(part, dict) and not part.get("synthetic")]
        flat_payload["prompt"] = flat([part for part in typed if part.get("type") == "text"])
    else:
        flat_payload |= made
    return flat_payload


def _places(payload: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give the objects in which the contract's keys are looked for, in order."""
    for outer in ((), ("payload",), ("event",)):
        if outer and outer[0] not in payload:
            continue
        for inner in ((), ("properties",), ("properties", "info"), ("info",), ("path",)):
            place = _at(payload, (*outer, *inner)) if outer or inner else payload
            if place:
                yield place


def _anything(payload: Mapping[str, Any]) -> str:
    """Give what a payload holds besides ids and frame, as text; "" when that is no text."""
    rest = without_ids({key: value for key, value in payload.items() if key not in _FRAME_KEYS})
    return flat(rest) if _has_text(rest) else ""


def _has_text(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_text, value.values()))
    if isinstance(value, list):
        return any(map(_has_text, value))
    return isinstance(value, str) and bool(value.strip())


def _first_text(places: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    for place in places:
        for key in keys:
            text = flat(place[key]) if place.get(key) and not isinstance(place[key], bool) else ""
            if text.strip():
                return text
    return ""


def _text(payload: Mapping[str, Any], keys: Sequence[str]) -> str:
    return next((payload[key] for key in keys if isinstance(payload.get(key), str)), "")


def _note(text: str, scrub: Scrub) -> str:
    return _NOTE.sub("-", scrub(cleaned(text)))[:128].strip("-") if text else ""


def _is_session(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() not in _NO_SESSIONS


def _identified(raw: str) -> tuple[str, UUID]:
    return raw, session_uuid(raw)


def _at(payload: Mapping[str, Any], path: Sequence[str]) -> Mapping[str, Any]:
    place: Any = payload
    for key in path:
        place = place.get(key) if isinstance(place, dict) else None
    return place if isinstance(place, dict) else {}
