"""Hook entries in the form that Claude Code, Codex and Gemini CLI share.

`{"hooks": {"<Event>": [{"matcher": …, "hooks": [{"type": "command", "command": …, "timeout": …}]}]}}`

New groups go to the end and nothing is ever moved: for Codex the position is part of what the user approved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ai_memory.client.agents import Agent
from ai_memory.errors import ConfigError
from ai_memory.install import hooks
from ai_memory.install.command_line import STUB, HookCommand, read_command
from ai_memory.install.json_text import Document, Pointer
from ai_memory.install.origin import Origin
from ai_memory.install.target import Edit, Site, Target

#: Gives the group to register for (event, command line).
GroupOf = Callable[[str, str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class OwnEntry:
    """A handler of ours in a file, with its place and its command."""

    at: Pointer
    command: HookCommand

    @property
    def event(self) -> str:
        """The agent's name of the event it is registered for."""
        return str(self.at[1])


def own_entries(document: Document, agent: Agent, data_dir: Path) -> list[OwnEntry]:
    """List our handlers in file order; what has another shape is somebody else's."""
    found = []
    for at, line in _commands(document):
        command = read_command(line, agent.name, data_dir)
        if command is not None:
            found.append(OwnEntry(at, command))
    return found


def with_entries(document: Document, agent: Agent, data_dir: Path, group: GroupOf) -> tuple[Document, dict[str, str]]:
    """Register every event of `agent.installed`; gives also the containers that were empty before.

    An entry of ours that says the same already is left as it is; one that names another data directory gets
    the new command in its place; doubles and events that are no longer registered go.
    """
    empties: dict[str, str] = {}
    _check_shape(document, agent)
    kept: set[str] = set()
    doubles = []
    for entry in own_entries(document, agent, data_dir):
        if entry.event in kept or entry.event not in agent.installed:
            doubles.append(entry)
            continue
        kept.add(entry.event)
        wanted = HookCommand(data_dir, agent.name, agent.events[entry.event])
        if entry.command != wanted:
            document = document.replace((*entry.at, "command"), str(wanted))
    for entry in reversed(doubles):
        document = _without(document, entry, {})
    for event in agent.installed:
        if event not in kept:
            command = HookCommand(data_dir, agent.name, agent.events[event])
            document = _with_group(document, event, group(event, str(command)), empties)
    return document, empties


def without_entries(document: Document, agent: Agent, data_dir: Path, empties: dict[str, str]) -> Document:
    """Take every entry of ours out, with the containers that it alone filled.

    Args:
        document: the file.
        agent: whose entries.
        data_dir: our data directory (entries for another one of ours go too).
        empties: containers to leave in place although empty, with the white space inside.
    """
    for entry in reversed(own_entries(document, agent, data_dir)):
        document = _without(document, entry, empties)
    return document


def _commands(document: Document) -> Iterator[tuple[Pointer, str]]:
    hooks = document.at(("hooks",))
    for event, groups in ((hooks.members if hooks else None) or {}).items():
        for g, group in enumerate(groups.items or ()):
            handlers = group.child("hooks")
            for h, handler in enumerate((handlers.items if handlers else None) or ()):
                kind, command = handler.child("type"), handler.child("command")
                if kind and command and kind.value == "command" and isinstance(command.value, str):
                    yield ("hooks", event, g, "hooks", h), command.value


def _check_shape(document: Document, agent: Agent) -> None:
    def refuse(pointer: Pointer, wanted: str) -> NoReturn:
        node = document.at(pointer) or document.root
        name = ".".join(str(step) for step in pointer) or "the whole file"
        raise ConfigError(
            f"{document.source}, line {document.line(node)}: {name} must be {wanted}. Nothing was written."
        )

    hooks = document.at(("hooks",))
    if document.root.members is None:
        refuse((), "a JSON object")
    if hooks is not None and hooks.members is None:
        refuse(("hooks",), "a JSON object")
    for event in agent.installed:
        groups = document.at(("hooks", event))
        if groups is not None and groups.items is None:
            refuse(("hooks", event), "an array")


def _with_group(document: Document, event: str, group: dict[str, Any], empties: dict[str, str]) -> Document:
    for pointer in ((), ("hooks",), ("hooks", event)):
        node = document.at(pointer)
        if node is not None and not node.children:
            empties["/".join(pointer)] = document.inside(pointer)
    if document.at(("hooks",)) is None:
        return document.append((), {event: [group]}, key="hooks")
    if document.at(("hooks", event)) is None:
        return document.append(("hooks",), [group], key=event)
    return document.append(("hooks", event), group)


def _without(document: Document, entry: OwnEntry, empties: dict[str, str]) -> Document:
    """Remove a handler, then each container above it that is empty now and was not empty before us."""
    pointer = entry.at
    while pointer:
        parent = pointer[:-1]
        name = "/".join(str(step) for step in parent)
        document = document.remove(pointer, inside=empties.get(name, ""))
        left = document.at(parent)
        if (left and left.children) or name in empties:
            return document
        # A group without handlers says nothing: ("hooks", event, group, "hooks") goes as a whole.
        pointer = parent[:3] if len(parent) == 4 else parent
    return document


def target(
    agent: Agent,
    *,
    config_file: Callable[[Site], Path],
    group: GroupOf,
    advice: Callable[[Path, Site], tuple[str, ...]],
) -> Target:
    """Make the target of an agent that takes entries of this form."""

    def data_dirs(path: Path, text: str, site: Site) -> list[Path]:
        # A file that never names our stub may be of any form (comments, another program's): it is not our business.
        if STUB not in text:
            return []
        entries = own_entries(Document(text, str(path)), agent, site.data_dir)
        return list(dict.fromkeys(entry.command.data_dir for entry in entries))

    def installed(path: Path, text: str | None, site: Site) -> Edit:
        blank = text if text is not None and not text.strip("\ufeff \t\r\n") else None
        start = "{}\n" if text is None or blank is not None else text
        document, empties = with_entries(Document(start, str(path)), agent, site.data_dir, group)
        return Edit(document.text, Origin(str(path), absent=text is None, blank=blank, empties=empties))

    def removed(path: Path, text: str, site: Site, origin: Origin | None) -> Edit:
        empties = origin.empties if origin else {}
        document = without_entries(Document(text, str(path)), agent, site.data_dir, empties)
        if origin and not document.root.children:
            if origin.absent:
                return Edit(None)
            if origin.blank is not None:
                return Edit(origin.blank)
        return Edit(document.text)

    return hooks.target(
        agent, config_file=config_file, data_dirs=data_dirs, installed=installed, removed=removed, advice=advice
    )
