"""What an install or uninstall would change, and changing it.

A plan is made from what is on disk now; applying it writes nothing that the plan does not name.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

from ai_memory.errors import ConfigError
from ai_memory.install import claude_code, codex, gemini_cli, open_code, origin, staging
from ai_memory.install.files import (
    back_up,
    check_writable,
    is_exposed,
    make_folder,
    read_text,
    remove_empty,
    shut,
    target_of,
    write_file,
)
from ai_memory.install.masked import masked, secrets_in
from ai_memory.install.origin import Origin
from ai_memory.install.staging import Connection, StagedFile
from ai_memory.install.target import Edit, Site, Target

#: The agents that hooks can be installed for, in the order in which they are shown.
TARGETS: dict[str, Target] = {
    target.name: target for target in (claude_code.TARGET, codex.TARGET, gemini_cli.TARGET, open_code.TARGET)
}


#: The targets that may run the staged client, too.
_BRIDGED = "mcp"


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes for one file of a target.

    Attributes:
        target: what is installed or removed.
        config: the configuration file, as the agent names it.
        before: the file's text now; None when there is none.
        after: the text it gets; None when it is deleted.
        stage: files of ours that are missing or out of date.
        unstage: files and folders of ours that go.
        note: what to remember about the file for an uninstall.
        private: the file gets mode 0600.
        exposed: it should be private, and others may open it.
        edited: somebody changed the file of ours that is deleted.
        leave: folders that were made for the file and go when they are empty.
        old_data_dirs: other data directories of ours whose entries are replaced or removed.
        refused: why the file is left alone, one sentence; "" when it is not.
    """

    target: Target
    config: Path
    before: str | None
    after: str | None
    stage: tuple[StagedFile, ...] = ()
    unstage: tuple[Path, ...] = ()
    note: Origin | None = None
    private: bool = False
    exposed: bool = False
    edited: bool = False
    leave: tuple[Path, ...] = ()
    old_data_dirs: tuple[Path, ...] = ()
    refused: str = ""

    @property
    def changes(self) -> bool:
        """Whether applying it would change anything."""
        return self.before != self.after or self.exposed or bool(self.stage) or bool(self.unstage)

    def diff(self) -> str:
        """The change of the configuration file as a unified diff without secrets; "" when it stays.

        Lines that stay are not shown: what is in them is somebody else's.
        """
        if self.before == self.after:
            return ""
        known = None if self.before is None else set(secrets_in(self.before).values())
        old, new = _lines(masked(self.before or "", known)), _lines(masked(self.after or "", known))
        name = str(self.config)
        return "".join(
            difflib.unified_diff(
                old,
                new,
                name if self.before is not None else "/dev/null",
                name if self.after is not None else "/dev/null",
                n=0,
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
    """Say what installing these targets would change.

    Args:
        targets: what to install.
        site: where things are.
        connection: how the server is reached.
        config: another configuration file than the target's own; for one target only.

    Raises:
        ConfigError: a file cannot be read, understood or written, or there is nothing to stage.
    """
    plans: list[Plan] = []
    for target in targets:
        files = (config,) if config else target.files(site)
        if not files:
            raise ConfigError(f"{target.title} has no such file on this system. Give its place with --config-file.")
        for file in files:
            plan = _plan_addition(target, site, connection, file)
            listed = {staged.path for earlier in plans for staged in earlier.stage}
            plans.append(replace(plan, stage=tuple(file for file in plan.stage if file.path not in listed)))
    return plans


def _plan_addition(target: Target, site: Site, connection: Connection, config: Path) -> Plan:
    files = target.stage(site, connection)
    before = read_text(config)
    edit = target.installed(config, before, site)
    if edit.text != before:
        check_writable(config)
    earlier = _origin(target, config, before, site)
    note = edit.origin and replace(edit.origin, targets=(target.id,))
    if note is not None and earlier is not None:
        note = earlier.merged(note)
    return Plan(
        target,
        config,
        before,
        edit.text,
        stage=tuple(file for file in files if file.differs()),
        note=note,
        private=edit.private,
        exposed=edit.private and is_exposed(config),
        old_data_dirs=tuple(_data_dirs(target, config, before, site)),
    )


def plan_uninstall(targets: list[Target], site: Site, *, everywhere: bool = True) -> list[Plan]:
    """Say what removing these targets would change; the spool, settings and token stay.

    The client that the hooks and the bridge share goes with the last of them. A file that cannot be read, understood or
    written keeps none of the others from being cleaned: its plan says why it is left alone, and what it may need stays.

    Args:
        targets: what to remove.
        site: where things are.
        everywhere: from files, too, that an earlier install has noted, not only from those of the targets.

    Raises:
        ConfigError: the notes of earlier installs are damaged.
    """
    plans: list[Plan] = []
    for target in targets:
        usual = target.files(site)
        configs = _configs(target, site) if everywhere else list(usual)
        # What was made first, and its folders with it, goes last.
        own = [_plan_removal(target, site, config) for config in reversed(configs)]
        own = [plan for plan in own if plan.changes or plan.refused or plan.config in usual]
        if not own:
            continue
        if any(plan.refused for plan in own):
            plans += own
            continue
        homes = dict.fromkeys((site.data_dir, *(home for plan in own for home in plan.old_data_dirs)))
        staged = (folder for home in homes for folder in target.unstage(home) if _is_staged(home, folder, target))
        # With the target's last file: until then a command may still name the stub.
        own[-1] = replace(own[-1], unstage=tuple(path for path in staged if path.exists()))
        plans += own
    return _with_shared(plans, site.data_dir) if plans else []


def _is_staged(home: Path, folder: Path, target: Target) -> bool:
    """Tell a data directory from a checkout that somebody's configuration names: its folders are not ours to delete."""
    noted = any(target.id in known.targets for known in origin.load(home).values())
    return noted or (folder.parent / "client" / "__main__.py").is_file()


def _with_shared(plans: list[Plan], data_dir: Path) -> list[Plan]:
    """Let the client and the interpreter's name go where nothing is left to need them."""
    if any(plan.refused for plan in plans):
        return plans
    going = {path for plan in plans for path in plan.unstage}
    leaving = {(str(plan.config), plan.target.id) for plan in plans}
    for hooks in {path.parent: None for path in going} or {data_dir / "hooks": None}:
        if any((hooks / name).exists() and hooks / name not in going for name in TARGETS):
            continue
        noted = {(name, target) for name, known in origin.load(hooks.parent).items() for target in known.targets}
        if any(target.startswith(f"{_BRIDGED}/") for _, target in noted - leaving):
            continue
        shared = tuple(path for path in (hooks / "client", hooks / "python") if path.exists())
        last = max((number for number, plan in enumerate(plans) if plan.changes), default=len(plans) - 1)
        plans[last] = replace(plans[last], unstage=plans[last].unstage + shared)
    return plans


def _configs(target: Target, site: Site) -> list[Path]:
    """The target's files, and others that an install has noted."""
    noted = (name for name, known in origin.load(site.data_dir).items() if target.id in known.targets)
    return list(dict.fromkeys((*target.files(site), *map(Path, noted))))


def _plan_removal(target: Target, site: Site, config: Path) -> Plan:
    try:
        return _removal(target, site, config)
    except ConfigError as error:
        return Plan(target, config, None, None, refused=str(error))


def _removal(target: Target, site: Site, config: Path) -> Plan:
    before = read_text(config)
    known = _origin(target, config, before, site)
    data_dirs = _data_dirs(target, config, before, site)
    edit = target.removed(config, before, site, known) if data_dirs and before is not None else Edit(before)
    after = edit.text
    if after != before:
        check_writable(config)
    leave = tuple(Path(folder) for folder in known.folders) if known and after is None else ()
    return Plan(target, config, before, after, edited=edit.edited, leave=leave, old_data_dirs=tuple(data_dirs))


def apply(plan: Plan, data_dir: Path, now: int) -> Applied:
    """Carry a plan out: first the files that the configuration will name, then the configuration.

    Args:
        plan: what to change.
        data_dir: our data directory.
        now: the time for the backup's name, unix seconds.

    Raises:
        ConfigError: the plan was refused, the file was changed since it was made, or something could not be written.
    """
    if plan.refused:
        raise ConfigError(plan.refused)
    if read_text(plan.config) != plan.before:
        raise ConfigError(f"{plan.config} was changed by somebody else just now. Run the command again.")
    staging.stage(list(plan.stage))
    backup = None
    if plan.before != plan.after:
        # A file that is deleted was made by us and holds nothing else, unless somebody changed it.
        if plan.before is not None and (plan.after is not None or plan.edited):
            backup = back_up(plan.config, now)
        _write_config(plan, data_dir)
    elif plan.exposed:
        shut(plan.config)
    if plan.note is None:
        for home in dict.fromkeys((data_dir, *plan.old_data_dirs)):
            origin.forget(home, plan.config, plan.target.id)
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
        # A folder that was made for another file as well goes with the last of them.
        earlier = (folder for known in origin.load(data_dir).values() for folder in known.folders)
        shared = (folder for folder in earlier if Path(folder) in target_of(plan.config).parents)
        folders = plan.note.folders or tuple(dict.fromkeys((*shared, *map(str, made))))
        origin.save(data_dir, replace(plan.note, folders=folders))
    write_file(plan.config, plan.after.encode("utf-8"), 0o600 if plan.private else None)


def _data_dirs(target: Target, config: Path, text: str | None, site: Site) -> list[Path]:
    return target.data_dirs(config, text, site) if text is not None else []


def _origin(target: Target, config: Path, text: str | None, site: Site) -> Origin | None:
    """The note about the file, if entries of ours are still in it; without them it is a stale one."""
    found = _data_dirs(target, config, text, site)
    for data_dir in found or [site.data_dir]:
        known = origin.load(data_dir).get(str(config))
        if known and (found or set(known.targets) - {target.id}):
            return known
    return None


def _lines(text: str | None) -> list[str]:
    """Lines for a diff that a terminal can show: each ends with one line feed."""
    lines = (text or "").splitlines(keepends=True)
    return [line.rstrip("\r\n") + "\n" for line in lines]
