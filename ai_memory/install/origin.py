"""What a configuration file was before our first entry: needed to give it back byte for byte.

After an uninstall `{}` may be what the user had, or all that is left of a file that we made. The text alone cannot
tell, so the first install leaves a note in the data directory. The notes also say which files were changed, and for
what: an uninstall finds them when a variable that moved the agent's home is not set any more.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ai_memory.errors import ConfigError
from ai_memory.install.files import make_folder, read_text, write_file

NAME = "installed.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """The state of one configuration file before our first entry.

    Attributes:
        config: the file, as the agent names it.
        blank: None when it held something; its text when it was there but blank; and `absent` when not at all.
        absent: there was no such file.
        folders: the folders that were made for it, outermost first.
        empties: containers that stood there empty, as `hooks/Stop`, with what stood inside.
        gaps: what was put before a passage of ours at the end of the file, by the passage's name.
        targets: the targets whose entries are in the file.
        servers: the addresses that entries of ours in it have led to, as origins.
    """

    config: str
    absent: bool = False
    blank: str | None = None
    folders: tuple[str, ...] = ()
    empties: dict[str, str] = field(default_factory=dict)
    gaps: dict[str, str] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()

    def merged(self, later: Origin) -> Origin:
        """Add what a later install found: the first note knows best, a new entry may meet a new container."""
        return replace(
            self,
            empties={**later.empties, **self.empties},
            gaps={**later.gaps, **self.gaps},
            targets=tuple(dict.fromkeys((*self.targets, *later.targets))),
            servers=tuple(dict.fromkeys((*self.servers, *later.servers))),
        )


def load(data_dir: Path) -> dict[str, Origin]:
    """Read the notes in a data directory, by configuration file; {} when there are none."""
    path = data_dir / NAME
    text = read_text(path)
    if text is None:
        return {}
    try:
        origins = [
            Origin(
                str(noted["config"]),
                bool(noted["absent"]),
                noted["blank"],
                tuple(noted["folders"]),
                dict(noted["empties"]),
                dict(noted["gaps"]),
                tuple(noted["targets"]),
                tuple(noted.get("servers", ())),
            )
            for noted in json.loads(text)
        ]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path} is damaged. Delete it and run the command again.") from None
    return {origin.config: origin for origin in origins}


def save(data_dir: Path, origin: Origin) -> None:
    """Add a note, or replace the one about the same file."""
    _write(data_dir, {**load(data_dir), origin.config: origin})


def forget(data_dir: Path, config: Path, target: str) -> None:
    """Take a target off the note about a file; a note without targets goes."""
    origins = load(data_dir)
    known = origins.get(str(config))
    if known is None or target not in known.targets:
        return
    left = tuple(each for each in known.targets if each != target)
    origins[known.config] = replace(known, targets=left)
    _write(data_dir, {name: origin for name, origin in origins.items() if origin.targets})


def _write(data_dir: Path, origins: dict[str, Origin]) -> None:
    if not origins:
        (data_dir / NAME).unlink()
        return
    text = json.dumps([asdict(one) for one in origins.values()], indent=1) + "\n"
    make_folder(data_dir)
    write_file(data_dir / NAME, text.encode(), 0o600)
