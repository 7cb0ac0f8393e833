"""The skills about ai-memory, as files that agents find: each is ours as a whole, and says so."""

from __future__ import annotations

from pathlib import Path

from ai_memory.client.routing import SKILL_MARKER, SKILLS
from ai_memory.errors import ConfigError
from ai_memory.install.origin import Origin
from ai_memory.install.target import Edit, Site, Target

KIND = "skills"
#: Whose skills: the folder in a project or at home, and the variable that moves the one at home.
ROOTS = {
    "claude-code": (".claude", "CLAUDE_CONFIG_DIR"),
    "agents": (".agents", ""),
    "devin": (".devin", ""),
    "grok": (".grok", "GROK_HOME"),
}
BOTH = ("claude-code", "agents")

_CONTENT = {skill.relative_path: skill.content for skill in SKILLS}


def project_roots(agents: tuple[str, ...], folder: Path) -> tuple[Path, ...]:
    """The folders of skills of a project."""
    return tuple(folder / ROOTS[agent][0] / "skills" for agent in agents)


def global_roots(agents: tuple[str, ...], site: Site) -> tuple[Path, ...]:
    """The folders of skills of a user."""
    known = (ROOTS[agent] for agent in agents)
    homes = ((site.home / name, variable) for name, variable in known)
    return tuple((site.folder(variable, home) if variable else home) / "skills" for home, variable in homes)


def target(roots: tuple[Path, ...], *, force: bool = False) -> Target:
    """Make the target of some folders of skills.

    Args:
        roots: the folders.
        force: take the place of files that somebody else wrote, too.
    """

    def data_dirs(_path: Path, text: str, site: Site) -> list[Path]:
        return [site.data_dir] if SKILL_MARKER in text else []

    def installed(path: Path, text: str | None, _site: Site) -> Edit:
        if text is not None and SKILL_MARKER not in text and not force:
            raise ConfigError(f"{path} was not written by ai-memory. Move it away, or replace it with --force.")
        return Edit(_CONTENT["/".join(path.parts[-2:])], Origin(str(path), absent=True))

    def removed(path: Path, text: str, _site: Site, _origin: Origin | None) -> Edit:
        return Edit(None, edited=text != _CONTENT["/".join(path.parts[-2:])])

    files = tuple(root / relative for root in roots for relative in _CONTENT)
    return Target(KIND, "", "Skills", lambda _site: files, data_dirs, installed, removed)
