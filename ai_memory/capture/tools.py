"""Tool calls in payloads: which tool, on what, with what outcome, and what of its result is worth keeping."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from ai_memory.capture.plain import cleaned, cut, flat
from ai_memory.client.agents import MCP_SERVER_NAMES, Agent
from ai_memory.model.event import Scrubbed, ToolCall

COMMAND_LIMIT = 1_000
_FILE_LIMIT = 512
_FILES = 50
_FILES_NAMED = 8

_READERS = frozenset(
    (
        "read",
        "read_file",
        "read_many_files",
        "readfile",
        "view",
        "view_file",
        "view_image",
        "notebookread",
        "open_file",
        "cat",
    )
)
_WRITERS = frozenset(
    (
        *(
            "write",
            "edit",
            "multiedit",
            "multi_edit",
            "notebookedit",
            "write_file",
            "edit_file",
            "create_file",
            "create",
        ),
        *("delete_file", "replace", "patch", "apply_patch", "applypatch", "apply_diff", "str_replace", "insert"),
        *("str_replace_editor", "str_replace_based_edit_tool", "search_replace", "write_to_file", "replace_in_file"),
    )
)
_NAME_KEYS = ("tool_name", "tool", "toolName", "name")
_INPUT_KEYS = ("tool_input", "toolInput", "tool_args", "args", "arguments", "parameters", "params", "input")
_RESPONSE_KEYS = (
    "tool_response",
    "toolResponse",
    "tool_result",
    "tool_output",
    "toolResult",
    "output",
    "result",
    "response",
)
_COMMAND_KEYS = ("command", "cmd", "script", "commandLine", "command_line")
_FILE_KEYS = ("file_path", "filePath", "notebook_path", "absolute_path", "target_file")
_PATCH_FILE = re.compile(r"^\*\*\* (?:(?P<act>Update|Add|Delete) File|Move to): (?P<path>.+?)\s*$", re.MULTILINE)
_EXIT_CODE = re.compile(r"^\s*(?:Exit Code|Exit code|exit code|exit status): (?P<code>-?\d+)\s*$", re.MULTILINE)
_SIGNAL = re.compile(r"^Signal: \S+", re.MULTILINE)
_WRAPPING = re.compile(r"</?untrusted_context>\n?")
_ID_KEY = re.compile(r"(?i)(?:^|_)(?:uu)?id$|[a-z]I[dD]$|^_ai_memory")

Scrub = Callable[[str], Scrubbed]


class ToolEvent:
    """The tool's part of a payload, under whatever names the agent gave to it.

    Attributes:
        name: the tool's name as the agent spells it, "" when the payload names none.
        given: the arguments; text alone becomes `{"command": text}`.
        response: the result, None when there is none.
        error: the payload's own account of a failure, "" when there is none.
        patch: the patch text among the arguments (apply_patch), or "".
        writes: whether the tool changes files.
        is_file_tool: whether the tool reads or writes whole files, so that its result is their content.
    """

    def __init__(self, payload: Mapping[str, Any], places: Sequence[Mapping[str, Any]]) -> None:
        call = _mapping(payload.get("toolCall"))
        extra = _mapping(payload.get("extra"))
        everywhere = (*places, call, extra)
        step = payload.get("stepIdx")
        named = _first(everywhere, _NAME_KEYS, str) or ("" if step is None else f"step {step}")
        self.name = cleaned(named)
        given = _first(everywhere, _INPUT_KEYS, (dict, str, list))
        self.given: Mapping[str, Any] = given if isinstance(given, dict) else {"command": given} if given else {}
        self.response = _first((*places, extra), _RESPONSE_KEYS, (dict, str, list, int, float, bool))
        self.error = flat(_first(places, ("error", "error_message", "errorMessage"), (str, dict)))
        texts = (text for text in self.given.values() if isinstance(text, str))
        self.patch = next((text for text in texts if "*** Begin Patch" in text), "")
        self._plain_name = self.name.lower().replace("-", "_")
        views = self._plain_name.startswith("str_replace") and self.given.get("command") == "view"
        self.writes = not views and (self._plain_name in _WRITERS or bool(self.patch))
        self.is_file_tool = views or self._plain_name in _READERS or self.writes

    def is_ours(self, agent: Agent, payload: Mapping[str, Any]) -> bool:
        """Tell whether the call went to this memory's own MCP server."""
        server = _mapping(payload.get("mcp_server")).get("name") or _mapping(payload.get("mcp_context")).get(
            "server_name"
        )
        return server in MCP_SERVER_NAMES or self.name.startswith(_own_prefixes(agent))

    @property
    def command(self) -> str:
        """The shell command, or ""."""
        if self.is_file_tool and not (self.patch and self._plain_name not in _WRITERS):
            return ""
        found = next((self.given[key] for key in _COMMAND_KEYS if self.given.get(key)), "")
        return " ".join(map(str, found)) if isinstance(found, list) else found if isinstance(found, str) else ""

    def paths(self) -> list[str]:
        """The files that the call names, in order, each once."""
        keys = (*_FILE_KEYS, "path") if self.is_file_tool else _FILE_KEYS
        named = [self.given[key] for key in keys if isinstance(self.given.get(key), str) and self.given[key]]
        several = self.given.get("paths") or self.given.get("file_paths") if self.is_file_tool else None
        if isinstance(several, list):
            named += [path for path in several if isinstance(path, str)]
        named += [match["path"] for match in _PATCH_FILE.finditer(self.patch)]
        return list(dict.fromkeys(map(cleaned, named)))

    def outcome(self, agent: Agent, *, failed: bool) -> str:
        """Give "success", "error" or "unknown".

        Args:
            agent: who sent it; agents differ in what silence means.
            failed: whether the event itself is the one of a failed call.
        """
        if failed or self.error:
            return "error"
        response = self.response
        if isinstance(response, dict):
            verdict = _verdict(response)
            if verdict:
                return verdict
            response = flat(response.get("llmContent"))
        if isinstance(response, str):
            head, tail = response[:400], response[-400:]
            code = _EXIT_CODE.search(tail if agent.name == "gemini-cli" else head)
            if code and (agent.name == "gemini-cli" or self.writes or not agent.events):
                return "success" if int(code["code"]) == 0 else "error"
            if agent.name == "gemini-cli":
                return "error" if _SIGNAL.search(tail) else "success"
        # Where a failed call has an event of its own, this one tells of success.
        return "success" if "PostToolUseFailure" in agent.events else "unknown"

    def as_call(self, outcome: str, scrub: Scrub) -> ToolCall:
        """Make the value that is stored."""
        return ToolCall(
            name=cut(scrub(self.name), 128),
            outcome=outcome,
            command=cut(scrub(cleaned(self.command)), COMMAND_LIMIT),
            files=tuple(cut(scrub(path), _FILE_LIMIT) for path in self.paths()[:_FILES]),
            writes=self.writes,
        )

    def excerpt(self, outcome: str, cwd: str, scrub: Scrub) -> str:
        """Give what is worth keeping of the result: never the content of a file that was read or written."""
        if self.is_file_tool:
            if outcome != "error":
                return self._file_line(cwd)
            return next((line for line in scrub(self._said()).splitlines() if line.strip()), "failed")
        return self._said() or "(no output)"

    def _said(self) -> str:
        said = self.error or _spoken(self.response)
        code = _exit_of(self.response)
        return f"exit code {code}\n{said}" if code and f"{code}" not in said[:40] else said

    def _file_line(self, cwd: str) -> str:
        paths = [_relative(path, cwd) for path in self.paths()]
        names = ", ".join(paths[:_FILES_NAMED]) + (
            f" and {len(paths) - _FILES_NAMED} more" if len(paths) > _FILES_NAMED else ""
        )
        if not self.writes:
            return f"read {names or 'a file'}"
        plus, minus = self._counts()
        return f"{self._verb()} {names or 'a file'}" + (f" (+{plus} −{minus})" if plus or minus else "")

    def _verb(self) -> str:
        acts = {match["act"] for match in _PATCH_FILE.finditer(self.patch)}
        if acts == {"Add"} or (not acts and self._is_new_file()):
            return "created"
        if acts == {"Delete"} or "delete" in self._plain_name:
            return "deleted"
        return "wrote" if "write" in self._plain_name or self._plain_name.startswith("create") else "edited"

    def _is_new_file(self) -> bool:
        response = _mapping(self.response)
        return response.get("type") == "create" or _mapping(response.get("returnDisplay")).get("isNewFile") is True

    def _counts(self) -> tuple[int, int]:
        """Count added and removed lines, from what the agent counted itself or else from the arguments."""
        response = _mapping(self.response)
        stat = _mapping(_mapping(response.get("returnDisplay")).get("diffStat"))
        if stat:
            return _int(stat.get("model_added_lines")), _int(stat.get("model_removed_lines"))
        difference = _mapping(_mapping(response.get("metadata")).get("filediff"))
        if difference:
            return _int(difference.get("additions")), _int(difference.get("deletions"))
        hunks = response.get("structuredPatch")
        lines = (
            [line for hunk in hunks if isinstance(hunk, dict) for line in hunk.get("lines", ())]
            if isinstance(hunks, list)
            else []
        )
        lines = lines or [line for line in self.patch.splitlines() if not line.startswith("***")]
        if lines:
            return sum(flat(line)[:1] == "+" for line in lines), sum(flat(line)[:1] == "-" for line in lines)
        edits = self.given.get("edits")
        pairs = [
            _replaced(edit) for edit in (edits if isinstance(edits, list) else [self.given]) if isinstance(edit, dict)
        ]
        if any(old for old, _ in pairs):
            return sum(_lines(new) for _, new in pairs), sum(_lines(old) for old, _ in pairs)
        return _lines(flat(self.given.get("content") or self.given.get("file_text"))), 0


@cache
def _own_prefixes(agent: Agent) -> tuple[str, ...]:
    return tuple(prefix.format(name) for prefix in agent.own_tool for name in MCP_SERVER_NAMES)


def without_ids(value: Any) -> Any:
    """Give a payload's value without ids and without what is empty; {} or "" when nothing is left."""
    if isinstance(value, dict):
        kept = {key: without_ids(inner) for key, inner in value.items() if not _ID_KEY.search(str(key))}
        return {key: inner for key, inner in kept.items() if inner not in ("", None, {}, [])}
    if isinstance(value, list):
        return [inner for inner in map(without_ids, value) if inner not in ("", None, {}, [])]
    return value


def _spoken(response: Any) -> str:
    """Give the text of a result: output streams, a display text, the parts of an MCP answer, else its JSON."""
    if not isinstance(response, dict):
        return flat(without_ids(_parsed(response)))
    streams = [response[key] for key in ("stdout", "stderr") if isinstance(response.get(key), str) and response[key]]
    if streams or "stdout" in response:
        return "\n".join(stream.rstrip("\n") for stream in streams)
    for key in (
        "returnDisplay",
        "llmContent",
        "output",
        "text_result_for_llm",
        "text",
        "content",
        "result",
        "message",
        "error",
    ):
        said = flat(response.get(key)) if response.get(key) else ""
        if said and (key != "returnDisplay" or isinstance(response[key], str)):
            return _WRAPPING.sub("", said)
    rest = without_ids(response)
    told = {key: value for key, value in rest.items() if not isinstance(value, bool | int)} if rest else {}
    return flat(told) if told else ""


def _parsed(response: Any) -> Any:
    # Codex sends the answer of some tools as JSON in a string.
    if isinstance(response, str) and response.startswith("{") and len(response) < 4_000:
        try:
            return json.loads(response)
        except ValueError:
            return response
    return response


def _verdict(response: Mapping[str, Any]) -> str:
    metadata = _mapping(response.get("metadata"))
    for key in ("isError", "is_error"):
        if isinstance(response.get(key), bool):
            return "error" if response[key] else "success"
    if isinstance(response.get("success"), bool):
        return "success" if response["success"] else "error"
    if response.get("error") or response.get("interrupted") is True or metadata.get("error"):
        return "error"
    code = _exit_of(response)
    return "" if code is None else "success" if code == 0 else "error"


def _exit_of(response: Any) -> int | None:
    if not isinstance(response, dict):
        return None
    for place in (response, _mapping(response.get("metadata"))):
        for key in ("exit", "exitCode", "exit_code"):
            if isinstance(place.get(key), int) and not isinstance(place[key], bool):
                return int(place[key])
    return None


def _relative(path: str, cwd: str) -> str:
    plain, root = path.replace("\\", "/"), cwd.replace("\\", "/").rstrip("/")
    return plain[len(root) + 1 :] if root and plain.startswith(root + "/") else path


def _replaced(edit: Mapping[str, Any]) -> tuple[str, str]:
    old = next((edit[key] for key in ("old_string", "oldString", "old_str") if isinstance(edit.get(key), str)), "")
    new = next((edit[key] for key in ("new_string", "newString", "new_str") if isinstance(edit.get(key), str)), "")
    return old, new


def _lines(text: str) -> int:
    return len(text.splitlines())


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _first(places: Sequence[Mapping[str, Any]], keys: Sequence[str], kinds: Any) -> Any:
    return next(_present(places, keys, kinds), None)


def _present(places: Sequence[Mapping[str, Any]], keys: Sequence[str], kinds: Any) -> Iterator[Any]:
    for place in places:
        for key in keys:
            value = place.get(key)
            if isinstance(value, kinds) and value != "":
                yield value
