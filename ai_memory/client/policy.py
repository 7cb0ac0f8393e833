"""What a project keeps from the memory (`[capture]` in its marker), decided here, before anything is written.

A shell can always spell a path so that no reader of the command finds it (variables, encodings); for shell tools
the words of the command are compared, which catches what agents really write.
"""

from __future__ import annotations

import os
import sys

from .marker import Marker, MarkerError, read_marker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

VERSION = 1
_MOST_PATHS = 32
_LONGEST_PATH = 4096
_MOST_COMPARISONS = 1_000_000

FILE = "file"
SEARCH = "search-list"
OTHER = "non-file"
UNKNOWN = "unknown"

_FILE_TOOLS = frozenset(
    (
        "read",
        "write",
        "edit",
        "multiedit",
        "notebookedit",
        "notebookread",
        "apply_patch",
        "patch",
        "read_file",
        "read_many_files",
        "write_file",
        "replace",
        "view",
        "view_image",
        "create",
        "str_replace",
        "str_replace_editor",
        "delete_file",
        "edit_file",
    )
)
_SEARCH_TOOLS = frozenset(
    (
        "grep",
        "glob",
        "ls",
        "list",
        "list_directory",
        "list_dir",
        "search_file_content",
        "grep_search",
        "search",
        "codebase_search",
        "find",
    )
)
_SHELL_TOOLS = frozenset(
    ("bash", "shell", "run_shell_command", "exec_command", "local_shell", "powershell", "cmd", "terminal")
)
_PATH_KEYS = ("file_path", "filePath", "path", "notebook_path", "absolute_path", "filename", "file", "paths", "files")
_COMMAND_KEYS = ("command", "cmd", "script", "input")
_FOLDER_KEYS = ("workdir", "cwd", "directory", "dir_path")
_PATCH_HEADS = ("*** Update File:", "*** Add File:", "*** Delete File:", "*** Move to:", "+++ ", "--- ")
_SHELL_SIGNS = str.maketrans(dict.fromkeys("|&;<>()`\"'=,:@{}[]", " "))
_PROMPT_TEXT = ("prompt", "user_prompt")
_ANSWER_TEXT = ("last_assistant_message", "prompt_response", "assistant_message")


class TooMuchError(ValueError):
    """There is more to compare than the limits allow."""


class Verdict:
    """What becomes of an event.

    Attributes:
        disposition: "keep", "drop" or "metadata-only".
        body: the payload to keep; None when it is dropped.
    """

    __slots__ = ("body", "disposition")

    def __init__(self, disposition: str, body: dict[str, Any] | None) -> None:
        self.disposition = disposition
        self.body = body


def apply_policy(
    markers: Sequence[tuple[str, str | None]], stem: str, payload: dict[str, Any], cwd: str, home: str
) -> Verdict:
    """Decide about an event by the nearest marker that has a `[capture]` section.

    A marker that cannot be read might exclude anything, so tool calls keep only their outline then.

    Args:
        markers: path and text of the markers that apply, nearest first.
        stem: the event.
        payload: the agent's payload.
        cwd: the agent's directory.
        home: the user's home directory, for patterns that begin with `~/`.
    """
    try:
        marker = _deciding(markers)
    except MarkerError:
        tool = stem in ("pre-tool-use", "post-tool-use") and _family(_tool(payload)[0]) in (FILE, SEARCH, "shell")
        return _verdict("metadata-only" if tool else "keep", "invalid", stem, payload, 0, "not-applicable")
    if marker is None:
        return Verdict("keep", payload)
    payload = _without_text(payload, stem, marker)
    if not marker.ignore_paths or stem not in ("pre-tool-use", "post-tool-use"):
        return _verdict("keep", "active", stem, payload, 0, "not-applicable")
    return _judge_tool(marker, stem, payload, cwd, home)


def _deciding(markers: Sequence[tuple[str, str | None]]) -> Marker | None:
    for path, text in markers:
        marker = read_marker(path, text)
        if marker.has_capture:
            return marker
    return None


def _judge_tool(marker: Marker, stem: str, payload: dict[str, Any], cwd: str, home: str) -> Verdict:
    name, given = _tool(payload)
    family = _family(name)
    if family == SEARCH:
        return Verdict("drop", None)
    if family not in (FILE, "shell"):
        return _verdict("keep", "active", stem, payload, 0, "not-applicable")
    words = _file_words(given) if family == FILE else _shell_words(given, home)
    if family == FILE and (not words or len(words) > _MOST_PATHS or max(map(len, words)) > _LONGEST_PATH):
        return _verdict("metadata-only", "active", stem, payload, len(words), "missing-or-malformed")
    base = next((given[key] for key in _FOLDER_KEYS if isinstance(given.get(key), str) and given[key]), "")
    patterns = Patterns(marker.ignore_paths, os.path.dirname(marker.path), home)
    try:
        if any(patterns.match(word, os.path.join(cwd, base)) for word in words):
            return Verdict("drop", None)
    except TooMuchError:
        return _verdict("metadata-only", "active", stem, payload, len(words), "missing-or-malformed")
    return _verdict("keep", "active", stem, payload, len(words), "extracted")


def _verdict(disposition: str, state: str, stem: str, payload: dict[str, Any], paths: int, extraction: str) -> Verdict:
    family = _family(_tool(payload)[0]) if stem in ("pre-tool-use", "post-tool-use") else UNKNOWN
    family = OTHER if family == "shell" else family
    body = _outline(payload, family) if disposition == "metadata-only" else dict(payload)
    body["_ai_memory_capture"] = {
        "version": VERSION,
        "disposition": disposition,
        "policy_state": state,
        "tool_family": family,
        "path_count": paths,
        "extraction_state": extraction,
    }
    return Verdict(disposition, body)


def _outline(payload: dict[str, Any], family: str) -> dict[str, Any]:
    call = payload.get("tool_use_id") or payload.get("call_id") or payload.get("tool_call_id")
    session = next((payload[key] for key in ("session_id", "sessionId", "sessionID") if key in payload), None)
    kept = {
        "session_id": session,
        "cwd": payload.get("cwd"),
        "tool_call_id": call,
        "tool_family": family,
        "tool_name": _tool(payload)[0],
    }
    return {key: value for key, value in kept.items() if isinstance(value, str) and value}


def _without_text(payload: dict[str, Any], stem: str, marker: Marker) -> dict[str, Any]:
    left_out: set[str] = set()
    if not marker.prompts:
        left_out.update(_PROMPT_TEXT)
        if stem == "user-prompt":
            left_out.update(("message", "text"))
    if not marker.answers:
        left_out.update(_ANSWER_TEXT)
        if stem in ("stop", "subagent-stop"):
            left_out.update(("message", "text", "output"))
    if left_out:
        # A compaction's summary tells both sides again.
        left_out.update(("compact_summary", "summary"))
    return {key: value for key, value in payload.items() if key not in left_out}


def _tool(payload: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    name = payload.get("tool_name") or payload.get("tool") or payload.get("name")
    given = payload.get("tool_input")
    if given is None:
        given = payload.get("args")
    if not isinstance(given, dict):
        given = {"command": given} if isinstance(given, (str, list)) else {}
    return (name if isinstance(name, str) else ""), given


def _family(name: str) -> str:
    word = name.lower().replace("-", "_")
    for words, family in ((_FILE_TOOLS, FILE), (_SEARCH_TOOLS, SEARCH), (_SHELL_TOOLS, "shell")):
        if word in words:
            return family
    return OTHER if name else UNKNOWN


def _file_words(given: dict[str, Any]) -> list[str]:
    words: list[str] = []
    for key in _PATH_KEYS:
        value = given.get(key)
        words += [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str) and item]
    for key in (*_COMMAND_KEYS, "patch", "patchText", "patch_text"):
        for line in _text(given.get(key)).splitlines():
            head = next((head for head in _PATCH_HEADS if line.startswith(head)), None)
            if head:
                words.append(line[len(head) :].partition("\t")[0].strip())
    return [word for word in dict.fromkeys(words) if word and word != "/dev/null"]


def _shell_words(given: dict[str, Any], home: str) -> list[str]:
    text = " ".join([_text(given.get(key)) for key in _COMMAND_KEYS])
    text = text.replace("${HOME}", home).replace("$HOME", home)
    # Quotes inside a word only hide it: se"cre"ts is secrets.
    joined = text.replace("\\\n", " ").replace('"', "").replace("'", "")
    if os.sep == "/":
        joined = joined.replace("\\", "")
    words: dict[str, None] = {}
    for spelled in (text, joined):
        words.update(dict.fromkeys(spelled.translate(_SHELL_SIGNS).split()))
    return [word for word in words if len(word) <= _LONGEST_PATH]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join([item for item in value if isinstance(item, str)])
    return value if isinstance(value, str) else ""


class Patterns:
    """Ignore patterns, rooted where they are declared: `*` and `?` stay in a component, `**` crosses them.

    Args:
        patterns: as written; relative ones are rooted at `folder`, `~/` is the home directory.
        folder: the marker's folder.
        home: the home directory, or "".
    """

    def __init__(self, patterns: Sequence[str], folder: str, home: str) -> None:
        self._patterns = [_parts(self._rooted(pattern, folder, home)) for pattern in patterns]
        self._home = home
        self._steps = 0

    @staticmethod
    def _rooted(pattern: str, folder: str, home: str) -> str:
        pattern = pattern.replace("\\", "/") if os.sep == "\\" else pattern
        if pattern.startswith("~/") and home:
            pattern = os.path.join(home, pattern[2:])
        if pattern.endswith("/"):
            pattern += "**"
        return os.path.normpath(os.path.join(folder, pattern))

    def match(self, path: str, cwd: str) -> bool:
        """Tell whether a path is excluded, by its spelling or by the file that it really is.

        Raises:
            TooMuchError: the comparisons are used up.
        """
        path = os.path.join(self._home, path[2:]) if path.startswith("~/") else path
        plain = os.path.normpath(os.path.join(cwd, path))
        spellings = {plain, os.path.realpath(plain)}
        return any(self._match(pattern, _parts(one)) for pattern in self._patterns for one in sorted(spellings))

    def _match(self, pattern: list[str], path: list[str]) -> bool:
        """Compare components, going back to the last `**` only, which is enough."""
        at = here = 0
        star, mark = -1, 0
        while here < len(path):
            if at < len(pattern) and pattern[at] == "**":
                star, mark = at, here
                at += 1
            elif at < len(pattern) and self._component(pattern[at], path[here]):
                at += 1
                here += 1
            elif star >= 0:
                mark += 1
                at, here = star + 1, mark
            else:
                return False
        # `dir/**` is also the folder itself.
        return all(part == "**" for part in pattern[at:])

    def _component(self, pattern: str, text: str) -> bool:
        at = here = 0
        star, mark = -1, 0
        while here < len(text):
            self._steps += 1
            if self._steps > _MOST_COMPARISONS:
                raise TooMuchError("too many comparisons")
            if at < len(pattern) and pattern[at] == "*":
                star, mark = at, here
                at += 1
            elif at < len(pattern) and pattern[at] in ("?", text[here]):
                at += 1
                here += 1
            elif star >= 0:
                mark += 1
                at, here = star + 1, mark
            else:
                return False
        return not pattern[at:].strip("*")


def _parts(path: str) -> list[str]:
    if sys.platform in ("win32", "darwin"):
        path = path.lower()
    return [part for part in path.replace(os.sep, "/").split("/") if part]
