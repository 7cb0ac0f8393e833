"""Transcripts of Claude Code and Codex, read as the events that their hooks would have sent.

Their form is internal to the agents: a line that is not understood is passed over. What sub-agents did, meta lines and
what the agents put around prompts is left out.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ai_memory.capture.plain import flat
from ai_memory.model.session import BACKFILL

_WRAPPERS = (
    "system-reminder command-name command-message command-args local-command-stdout local-command-stderr "
    "local-command-caveat user-prompt-submit-hook ide_opened_file ide_selection available-deferred-tools "
    "fast_mode_info environment_context user_instructions"
).split()
_WRAPPED = re.compile(rf"<({'|'.join(_WRAPPERS)})>.*?</\1>", re.DOTALL)
#: What stands in place of a prompt when nobody asked anything.
_NO_PROMPTS = ("[Request interrupted", "Caveat: The messages below", "<task-notification>")
_ROLLOUT = re.compile(r"rollout-.*-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_SHELLS = frozenset({"shell", "shell_command", "exec_command", "local_shell", "container.exec", "unified_exec"})


@dataclass(frozen=True, slots=True)
class Event:
    """What a hook would have sent: the event's stem and the agent's own name of it, when, where, and the payload."""

    stem: str
    name: str
    at: datetime
    cwd: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Transcript:
    """One session of an agent.

    Attributes:
        agent: the wire name.
        id: the agent's own id of it.
        events: in order, its start first and its end last; none where nobody asked anything, or a sub-agent did.
    """

    agent: str
    id: str
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """A transcript that was found: whose it is, the agent's own id of the session, the file, and its time."""

    agent: str
    id: str
    file: Path
    written: float


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an agent keeps its transcripts: which files below its folder, whose session each is, and how it is read."""

    agent: str
    pattern: str
    id_of: Callable[[Path], str]
    read: Callable[[Path], Transcript]

    def files(self, folder: Path) -> list[Session]:
        """List the sessions below a folder: id and file, the one that was written to last at the end."""
        found = []
        for file in folder.glob(self.pattern):
            # An agent may tidy up meanwhile.
            with suppress(FileNotFoundError):
                if (about := file.stat()) and stat.S_ISREG(about.st_mode) and (name := self.id_of(file)):
                    found.append(Session(self.agent, name, file, about.st_mtime))
        return sorted(found, key=lambda each: (each.written, each.id))


@dataclass(slots=True)
class _Story:
    """Events as they come to light, the ends of turns put between them."""

    cwd: str = ""
    events: list[Event] = field(default_factory=list)
    _at: datetime | None = None
    _answer: str = ""

    def moves(self, at: object, cwd: object) -> None:
        """Go on to the time and the directory of the next line, where it names them."""
        self._at = _moment(at) or self._at
        if isinstance(cwd, str) and cwd:
            self.cwd = cwd

    def prompt(self, text: str) -> None:
        """Take what somebody asked."""
        asked = _WRAPPED.sub("", text).strip()
        if asked and not asked.startswith(_NO_PROMPTS):
            self._end_turn()
            self._add("user-prompt", "UserPromptSubmit", {"prompt": asked})

    def says(self, text: str) -> None:
        """Take what the agent said; the last of a turn is its answer."""
        self._answer = text.strip() or self._answer

    def tool(self, name: str, given: object, result: object, *, error: str = "") -> None:
        """Take a call of a tool that has come back."""
        body: dict[str, Any] = {"tool_name": name, "tool_input": given}
        if error:
            self._add("post-tool-use", "PostToolUseFailure", {**body, "error": error})
        else:
            self._add("post-tool-use", "PostToolUse", {**body, "tool_response": result})

    def told(self, agent: str, session: str) -> Transcript:
        """Give the transcript, with a start and an end around it."""
        self._end_turn()
        if not any(each.stem == "user-prompt" for each in self.events):
            return Transcript(agent, session, ())
        first, last = self.events[0], self.events[-1]
        start = Event("session-start", "SessionStart", first.at, first.cwd, {"source": BACKFILL})
        end = Event("session-end", "SessionEnd", last.at, last.cwd, {"reason": BACKFILL})
        return Transcript(agent, session, (start, *self.events, end))

    def _end_turn(self) -> None:
        if self._answer:
            self._add("stop", "Stop", {"last_assistant_message": self._answer})
        self._answer = ""

    def _add(self, stem: str, name: str, body: Mapping[str, Any]) -> None:
        # A line without a time in front of all that have one says nothing of when.
        if self._at is not None:
            self.events.append(Event(stem, name, self._at, self.cwd, body))


def claude_transcript(file: Path) -> Transcript:
    """Read a transcript of Claude Code.

    Raises:
        OSError: it cannot be read.
    """
    story = _Story()
    calls: dict[str, tuple[str, Any]] = {}
    for line in _lines(file):
        if (
            line.get("isSidechain")
            or line.get("isMeta")
            or line.get("isCompactSummary")
            or line.get("isApiErrorMessage")
        ):
            continue
        if line.get("sessionId", file.stem) != file.stem or line.get("type") not in ("user", "assistant"):
            continue
        content = _mapping(line.get("message")).get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        story.moves(line.get("timestamp"), line.get("cwd"))
        texts = []
        for block in blocks if isinstance(blocks, list) else []:
            kind = block.get("type") if isinstance(block, dict) else ""
            if kind == "text" and isinstance(block.get("text"), str):
                texts.append(block["text"])
            elif kind == "tool_use":
                calls[str(block.get("id"))] = (str(block.get("name") or "tool"), block.get("input"))
            elif kind == "tool_result" and str(block.get("tool_use_id")) in calls:
                name, given = calls.pop(str(block.get("tool_use_id")))
                said = flat(block.get("content"))
                result = line.get("toolUseResult")
                error = (said or "failed") if block.get("is_error") else ""
                story.tool(name, given, result if isinstance(result, dict) else said, error=error)
        text = "\n".join(texts)
        if text and line["type"] == "user":
            story.prompt(text)
        elif text:
            story.says(text)
    return story.told("claude-code", file.stem)


def codex_transcript(file: Path) -> Transcript:
    """Read a rollout of Codex, in either of its dialects.

    Raises:
        OSError: it cannot be read.
    """
    session = _rollout_id(file)
    lines = list(_codex_lines(file))
    # One dialect may repeat what the other says.
    messages = {kind for kind, *_ in lines if kind in ("event", "item")}
    tools = {kind for kind, *_ in lines if kind in ("call", "item-call")}
    story = _Story()
    calls: dict[str, tuple[str, Any]] = {}
    for kind, at, cwd, what in lines:
        story.moves(at, cwd)
        if kind == "sub-agent":
            return Transcript("codex", session, ())
        if kind == "call":
            calls[str(what.get("call_id"))] = _codex_call(what)
        elif kind == "output" and str(what.get("call_id")) in calls:
            name, given = calls.pop(str(what.get("call_id")))
            said, code = _codex_output(what.get("output"))
            story.tool(name, given, said, error=f"exit code {code}\n{said}" if code else "")
        elif kind == "item-call" and "call" not in tools:
            story.tool(*_codex_item(what))
        elif kind == "event" or (kind == "item" and "event" not in messages):
            if what["by"] == "user":
                story.prompt(what["text"])
            else:
                story.says(what["text"])
    return story.told("codex", session)


def _codex_lines(file: Path) -> Iterator[tuple[str, Any, Any, Mapping[str, Any]]]:
    """Give what matters of a rollout: what it is, when, where (if it says so), and the thing itself."""
    begun = False
    for line in _lines(file):
        at, payload = line.get("timestamp"), _mapping(line.get("payload"))
        kind = payload.get("type")
        if line.get("type") == "session_meta" and not begun:
            begun = True
            source = payload.get("source")
            child = payload.get("parent_thread_id") or payload.get("agent_path")
            is_child = child or (isinstance(source, dict) and "subagent" in source)
            yield ("sub-agent" if is_child else "meta"), at, payload.get("cwd"), payload
        elif line.get("type") == "turn_context":
            yield "meta", at, payload.get("cwd"), payload
        elif line.get("type") == "response_item":
            if kind in ("function_call", "custom_tool_call", "local_shell_call"):
                yield "call", at, None, payload
            elif kind in ("function_call_output", "custom_tool_call_output"):
                yield "output", at, None, payload
        elif line.get("type") == "event_msg":
            item = _mapping(payload.get("item"))
            if kind in ("user_message", "agent_message") and isinstance(payload.get("message"), str):
                yield "event", at, None, {"by": str(kind).partition("_")[0], "text": payload["message"]}
            elif kind == "item_completed" and item.get("type") in ("UserMessage", "AgentMessage"):
                by = "user" if item["type"] == "UserMessage" else "agent"
                yield "item", at, None, {"by": by, "text": flat(item.get("content"))}
            elif kind == "item_completed" and item.get("type") in ("CommandExecution", "FileChange"):
                yield "item-call", at, None, item


def _codex_call(call: Mapping[str, Any]) -> tuple[str, Any]:
    """Give a call's tool and arguments as the hooks of Codex name them."""
    name = str(call.get("name") or "local_shell")
    given = call.get("arguments") if call.get("type") == "function_call" else call.get("input")
    if call.get("type") == "local_shell_call":
        given = _mapping(call.get("action"))
    if isinstance(given, str) and name != "apply_patch":
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            given = {"command": given}
    if name in _SHELLS:
        command = _mapping(given).get("command") or _mapping(given).get("cmd") or ""
        return "Bash", {"command": _command(command)}
    if name == "apply_patch":
        patch = _mapping(given).get("input") or _mapping(given).get("patch") if isinstance(given, dict) else given
        return "apply_patch", {"command": patch}
    return name, given


def _command(command: object) -> str:
    """Give a shell command as one text, without the shell that was started for it."""
    if not isinstance(command, list):
        return str(command)
    words = [str(word) for word in command]
    if len(words) == 3 and words[1] in ("-c", "-lc"):
        return words[2]
    return " ".join(words)


def _codex_output(output: object) -> tuple[str, int]:
    """Give the text of a result and its exit code, 0 where it tells of none."""
    if isinstance(output, str) and output.startswith("{"):
        try:
            output = json.loads(output)
        except (ValueError, RecursionError):
            return str(output), 0
    about = _mapping(output)
    code = _mapping(about.get("metadata")).get("exit_code")
    said = flat(about.get("output") if "output" in about else output)
    return said, code if isinstance(code, int) else 0


def _codex_item(item: Mapping[str, Any]) -> tuple[str, Any, Any]:
    if item.get("type") == "CommandExecution":
        code = item.get("exit_code")
        result = {"output": flat(item.get("aggregated_output"))}
        return "Bash", {"command": _command(item.get("command"))}, {**result, **({"exit_code": code} if code else {})}
    changes = item.get("changes")
    named = list(changes) if isinstance(changes, dict) else [_mapping(each).get("path") for each in changes or ()]
    return "edit_file", {"paths": [path for path in named if isinstance(path, str)]}, ""


def _rollout_id(file: Path) -> str:
    found = _ROLLOUT.fullmatch(file.stem)
    return found[1] if found else ""


def _lines(file: Path) -> Iterator[Mapping[str, Any]]:
    """Read the objects of a file, one a line; the last line may be half written."""
    with file.open("rb") as opened:
        for line in opened:
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                yield value


def _moment(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at and at.tzinfo is None else at


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


#: Agent -> where its transcripts are below its folder.
ORIGINS = {
    "claude-code": Origin("claude-code", "*/*.jsonl", lambda file: file.stem, claude_transcript),
    "codex": Origin("codex", "**/rollout-*.jsonl", _rollout_id, codex_transcript),
}
