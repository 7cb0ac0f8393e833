"""What an agent's or client's module gives to the installer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ai_memory.install.origin import Origin
from ai_memory.install.staging import Connection, StagedFile


@dataclass(frozen=True, slots=True)
class Site:
    """Where things are on this machine.

    Attributes:
        home: the user's home directory.
        env: the environment that relocates agents (`CODEX_HOME` and the like).
        data_dir: our data directory, absolute.
        bundle: the folder with one folder of stubs per agent.
    """

    home: Path
    env: Mapping[str, str]
    data_dir: Path
    bundle: Path

    def folder(self, variable: str, default: Path) -> Path:
        """The folder that a variable names, else the default; an empty value names nothing."""
        named = self.env.get(variable, "").strip()
        return Path(named).absolute() if named else default


@dataclass(frozen=True, slots=True)
class Edit:
    """What a configuration file is to become.

    Attributes:
        text: its new text; None when it is to be deleted.
        origin: the note to keep about what it was before; None after an uninstall.
        private: there is a token in it, so nobody else may read the file.
        edited: somebody changed the file of ours that is to be deleted, so a copy of it stays.
    """

    text: str | None
    origin: Origin | None = None
    private: bool = False
    edited: bool = False


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What became of a test of what was installed.

    Attributes:
        state: "arrived" (the event of a hook) or "answered"; "spooled" or "unreachable" when no server answered (an
            event waits then); or "failed".
        detail: one sentence that a person can act on.
    """

    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that ai-memory can be put into: an agent's hooks, a client's list of servers, a project's files.

    Attributes:
        kind: "hooks", "mcp", "instructions" or "skills".
        name: of the agent or client; "" where there is only one.
        title: the name a person knows.
        files: where the entries stand.
        data_dirs: (file, text, site) -> the data directories of the entries of ours in it; [] when there are none.
        installed: (file, text or None, site) -> the file with our entries.
        removed: (file, text, site, origin) -> the file without them.
        stage: (site, connection) -> the files that the entries need in the data directory.
        unstage: data directory -> folders in it that go with the entries.
        advice: (file, site) -> what the user still has to do, one sentence each.
        check: (file, site) -> what came of trying what was installed; None where there is nothing to try.
    """

    kind: str
    name: str
    title: str
    files: Callable[[Site], tuple[Path, ...]]
    data_dirs: Callable[[Path, str, Site], list[Path]]
    installed: Callable[[Path, str | None, Site], Edit]
    removed: Callable[[Path, str, Site, Origin | None], Edit]
    stage: Callable[[Site, Connection], list[StagedFile]] = lambda _site, _connection: []
    unstage: Callable[[Path], tuple[Path, ...]] = lambda _data_dir: ()
    advice: Callable[[Path, Site], tuple[str, ...]] = lambda _path, _site: ()
    check: Callable[[Path, Site], SelfTest | None] = lambda _path, _site: None

    @property
    def id(self) -> str:
        """How notes name it."""
        return f"{self.kind}/{self.name}" if self.name else self.kind
