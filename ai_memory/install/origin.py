"""What a configuration file was before our first entry: needed to give it back byte for byte.

After an uninstall `{}` may be what the user had, or all that is left of a file that we made. The text alone
cannot tell, so the first install leaves a note beside the staged stub. The notes also say which files were changed:
an uninstall finds them when a variable that moved the agent's home is not set any more.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ai_memory.errors import ConfigError
from ai_memory.install.files import make_folder, read_text, write_file

NAME = "origin.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """The state of one configuration file before our first entry.

    Attributes:
        config: the file, as the agent names it.
        blank: None when it held JSON; its text when it was there but blank; and `absent` when not at all.
        absent: there was no such file.
        folders: the folders that were made for it, outermost first.
        empties: containers that stood there empty, as `hooks/Stop`, with the white space inside.
    """

    config: str
    absent: bool = False
    blank: str | None = None
    folders: tuple[str, ...] = ()
    empties: dict[str, str] = field(default_factory=dict)

    def merged(self, later: Origin) -> Origin:
        """Add what a later install found: the first note knows best, a new event may meet a new container."""
        return Origin(self.config, self.absent, self.blank, self.folders, {**later.empties, **self.empties})


def load(folder: Path) -> dict[str, Origin]:
    """Read the notes in an agent's staged folder, by configuration file; {} when there are none."""
    path = folder / NAME
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
            )
            for noted in json.loads(text)
        ]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path} is damaged. Delete it and run the command again.") from None
    return {origin.config: origin for origin in origins}


def save(folder: Path, origin: Origin) -> None:
    """Add a note, or replace the one about the same file."""
    origins = {**load(folder), origin.config: origin}
    text = json.dumps([asdict(one) for one in origins.values()], indent=1) + "\n"
    make_folder(folder)
    write_file(folder / NAME, text.encode(), 0o600)
