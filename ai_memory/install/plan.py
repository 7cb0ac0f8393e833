"""What an install or uninstall would change, and changing it.

A plan is made from what is on disk now; applying it writes nothing that the plan does not name.
"""

from __future__ import annotations

import difflib
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from ai_memory.client.agents import Agent
from ai_memory.errors import ConfigError
from ai_memory.install import claude_code, codex, gemini_cli, open_code, origin, staging
from ai_memory.install.files import (
    back_up,
    check_writable,
    make_folder,
    read_text,
    remove_empty,
    target_of,
    write_file,
)
from ai_memory.install.origin import Origin
from ai_memory.install.staging import Connection, StagedFile
from ai_memory.install.target import Site, Target

#: The agents that hooks can be installed for, in the order in which they are shown.
TARGETS: dict[str, Target] = {
    target.agent.name: target for target in (claude_code.TARGET, codex.TARGET, gemini_cli.TARGET, open_code.TARGET)
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes for one agent.

    Attributes:
        target: the agent.
        config: its configuration file, as the agent names it.
        before: the file's text now; None when there is none.
        after: the text it gets; None when it is deleted.
        stage: files of ours that are missing or out of date.
        unstage: files and folders of ours that go.
        note: what to remember about the file for an uninstall.
        leave: folders that were made for the file and go when they are empty.
        old_data_dirs: other data directories of ours whose entries are replaced or removed.
    """

    target: Target
    config: Path
    before: str | None
    after: str | None
    stage: tuple[StagedFile, ...] = ()
    unstage: tuple[Path, ...] = ()
    note: Origin | None = None
    leave: tuple[Path, ...] = ()
    old_data_dirs: tuple[Path, ...] = ()

    @property
    def agent(self) -> Agent:
        """The agent's facts."""
        return self.target.agent

    @property
    def changes(self) -> bool:
        """Whether applying it would change anything."""
        return self.before != self.after or bool(self.stage) or bool(self.unstage)

    def diff(self) -> str:
        """The change of the configuration file as a unified diff; "" when it stays."""
        if self.before == self.after:
            return ""
        old, new = (_lines(text) for text in (self.before, self.after))
        name = str(self.config)
        return "".join(
            difflib.unified_diff(
                old,
                new,
                name if self.before is not None else "/dev/null",
                name if self.after is not None else "/dev/null",
            )
        )


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying a plan did.

    Attributes:
        plan: the plan.
        backup: the copy of the old configuration file; None when it did not change or was new.
    """

    plan: Plan
    backup: Path | None


def plan_install(targets: list[Target], site: Site, connection: Connection, config: Path | None = None) -> list[Plan]:
    """Say what installing the hooks of these agents would change.

    Args:
        targets: the agents.
        site: where things are.
        connection: how the hooks reach the server.
        config: another configuration file than the agent's own; for one agent only.

    Raises:
        ConfigError: a file cannot be read, understood or written, or there is nothing to stage.
    """
    if sys.platform == "win32":
        raise ConfigError("Hooks cannot be installed on Windows yet: no agent was seen running them there.")
    plans: list[Plan] = []
    for target in targets:
        plan = _plan_addition(target, site, connection, config)
        listed = {file.path for earlier in plans for file in earlier.stage}
        plans.append(replace(plan, stage=tuple(file for file in plan.stage if file.path not in listed)))
    return plans


def _plan_addition(target: Target, site: Site, connection: Connection, config: Path | None) -> Plan:
    config = config or target.config_file(site)
    files = staging.staged_files(target.agent, site.data_dir, site.bundle, connection)
    before = read_text(config)
    edit = target.installed(config, before, site)
    if edit.text != before:
        check_writable(config)
    earlier = _origin(target, config, before, site)
    note = edit.origin
    if note is not None and earlier is not None:
        note = earlier.merged(note)
    return Plan(
        target,
        config,
        before,
        edit.text,
        stage=tuple(file for file in files if file.differs()),
        note=note,
        old_data_dirs=tuple(_data_dirs(target, config, before, site)),
    )


def plan_uninstall(targets: list[Target], site: Site) -> list[Plan]:
    """Say what removing the hooks of these agents would change; the spool, settings and token stay.

    The client that all agents share goes with the last of them.

    Raises:
        ConfigError: a file cannot be read, understood or written.
    """
    plans: list[Plan] = []
    for target in targets:
        own = [_plan_removal(target, site, config) for config in _configs(target, site)]
        own = [plan for plan in own if plan.changes or plan.config == target.config_file(site)]
        homes = dict.fromkeys((site.data_dir, *(home for plan in own for home in plan.old_data_dirs)))
        staged = (home / "hooks" / target.agent.name for home in homes if _is_staged(home, target.agent.name))
        # With the agent's last file: until then a command may still name the stub.
        own[-1] = replace(own[-1], unstage=tuple(path for path in staged if path.exists()))
        plans += own
    return _with_shared(plans, site.data_dir)


def _is_staged(home: Path, agent: str) -> bool:
    """Tell a data directory from a checkout that somebody's configuration names: its folders are not ours to delete."""
    return (home / "hooks" / "client" / "__main__.py").is_file() or (home / "hooks" / agent / origin.NAME).is_file()


def _with_shared(plans: list[Plan], data_dir: Path) -> list[Plan]:
    """Let the client and the interpreter's name go where no agent is left to need them."""
    going = {path for plan in plans for path in plan.unstage}
    for hooks in {path.parent: None for path in going} or {data_dir / "hooks": None}:
        if any((hooks / name).exists() and hooks / name not in going for name in TARGETS):
            continue
        shared = tuple(path for path in (hooks / "client", hooks / "python") if path.exists())
        last = max((number for number, plan in enumerate(plans) if plan.changes), default=len(plans) - 1)
        plans[last] = replace(plans[last], unstage=plans[last].unstage + shared)
    return plans


def _configs(target: Target, site: Site) -> list[Path]:
    """The agent's file, and others that an install has noted."""
    noted = origin.load(site.data_dir / "hooks" / target.agent.name)
    return list(dict.fromkeys((target.config_file(site), *map(Path, noted))))


def _plan_removal(target: Target, site: Site, config: Path) -> Plan:
    before = read_text(config)
    known = _origin(target, config, before, site)
    data_dirs = _data_dirs(target, config, before, site)
    after = target.removed(config, before, site, known).text if data_dirs and before is not None else before
    if after != before:
        check_writable(config)
    leave = tuple(Path(folder) for folder in known.folders) if known and after is None else ()
    return Plan(target, config, before, after, leave=leave, old_data_dirs=tuple(data_dirs))


def apply(plan: Plan, data_dir: Path, now: int) -> Applied:
    """Carry a plan out: first the files that the configuration will name, then the configuration.

    Args:
        plan: what to change.
        data_dir: our data directory.
        now: the time for the backup's name, unix seconds.

    Raises:
        ConfigError: the file was changed since the plan was made, or something could not be written.
    """
    if read_text(plan.config) != plan.before:
        raise ConfigError(f"{plan.config} was changed by somebody else just now. Run the command again.")
    staging.stage(list(plan.stage))
    backup = None
    if plan.before != plan.after:
        # A file that is deleted was made by us and holds nothing else.
        if plan.before is not None and plan.after is not None:
            backup = back_up(plan.config, now)
        _write_config(plan, data_dir)
    staging.unstage(list(plan.unstage))
    if plan.unstage:
        remove_empty([path.parent for path in plan.unstage])
    return Applied(plan, backup)


def _write_config(plan: Plan, data_dir: Path) -> None:
    if plan.after is None:
        target_of(plan.config).unlink()
        remove_empty(list(plan.leave))
        return
    made = make_folder(target_of(plan.config).parent)
    if plan.note is not None:
        folders = plan.note.folders or tuple(str(folder) for folder in made)
        origin.save(data_dir / "hooks" / plan.agent.name, replace(plan.note, folders=folders))
    write_file(plan.config, plan.after.encode("utf-8"))


def _data_dirs(target: Target, config: Path, text: str | None, site: Site) -> list[Path]:
    return target.data_dirs(config, text, site) if text is not None else []


def _origin(target: Target, config: Path, text: str | None, site: Site) -> Origin | None:
    """The note about the file, if entries of ours are still in it; without them it is a stale one."""
    for data_dir in _data_dirs(target, config, text, site):
        known = origin.load(data_dir / "hooks" / target.agent.name)
        if str(config) in known:
            return known[str(config)]
    return None


def _lines(text: str | None) -> list[str]:
    """Lines for a diff that a terminal can show: each ends with one line feed."""
    lines = (text or "").splitlines(keepends=True)
    return [line.rstrip("\r\n") + "\n" for line in lines]
