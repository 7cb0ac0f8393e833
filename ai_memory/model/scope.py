"""Scopes: the workspace and project that a thing belongs to, and the rules for their names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from uuid import UUID

from ai_memory.errors import BadRequestError

DEFAULT_WORKSPACE = "default"
FALLBACK_PROJECT = "scratch"
#: Reserved for preferences that hold everywhere; capture never creates or writes it.
GLOBAL_PROJECT = "_global"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_LONGEST_NAME = 255
#: Characters of a name that is made of any text: of the text itself, and of its digest.
_SLUG = 60
_DIGEST = 12


class BadNameError(BadRequestError):
    """A workspace or project name is not usable."""


def checked_name(name: str, what: str) -> str:
    """Return a name that somebody wrote down (marker, flag) if it is legal.

    Raises:
        BadNameError: it does not match `[a-z0-9][a-z0-9._-]*`.
    """
    if len(name) > _LONGEST_NAME:
        raise BadNameError(f"the {what} name has {len(name)} characters: use at most {_LONGEST_NAME}")
    if not _NAME.fullmatch(name):
        raise BadNameError(
            f"{what} name {name!r} is not usable: use lower-case letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit"
        )
    return name


def legal_name(wanted: str, is_taken: Callable[[str], bool], *, prefix: str = "") -> str:
    """Make a legal name of any text: what of it is legal, and a digest where that is not all of it or is taken.

    Args:
        wanted: the text.
        is_taken: tells whether something else has a name already.
        prefix: what the name begins with; it is legal itself.
    """
    slug = re.sub(r"[^a-z0-9._-]+", "-", wanted.lower())[:_SLUG].strip("-._")
    if slug == wanted and not is_taken(prefix + slug):
        return prefix + slug
    digests = (sha256(f"{number or ''}{wanted}".encode()).hexdigest()[:_DIGEST] for number in count())
    names = (prefix + "-".join(filter(None, (slug, digest))) for digest in digests)
    return next(name for name in names if not is_taken(name))


@dataclass(frozen=True, slots=True)
class Workspace:
    """One workspace: its folder's name, its name, names that it had before, and the user whose memories it holds."""

    id: UUID
    name: str
    aliases: tuple[str, ...] = ()
    user: str = ""


@dataclass(frozen=True, slots=True)
class Project:
    """One project as its manifest describes it.

    Attributes:
        id: its folder name under the workspace's folder.
        workspace_id: the workspace's folder name.
        workspace: the workspace's name.
        name: its name, unique in the workspace when letter case is ignored.
        identity: the normalised git remote ("github.com/acme/shop"), or "".
        roots: main repository roots seen for it on any machine.
        aliases: names that it had before it was renamed.
        repo: what the user of its workspace calls the repository whose memories it holds, "" for any other project.
    """

    id: UUID
    workspace_id: UUID
    workspace: str
    name: str
    identity: str = ""
    roots: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    repo: str = ""

    @property
    def label(self) -> str:
        """Workspace and project as people see them: "default/shop"."""
        return f"{self.workspace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A project, and how it was found: marker, explicit, git-remote, repo-root, session, path, name or default."""

    project: Project
    by: str


@dataclass(frozen=True, slots=True)
class Routing:
    """What a client says about where it is (the query parameters of `/hook` and `/handoff`).

    Attributes:
        cwd: the agent's directory, "/"-separated, without a trailing slash; "" when unknown.
        workspace: a workspace name from marker or flag, or "".
        project: a project name from marker, flag or the repository's root, or "".
        project_src: who named the project: "marker", "repo-root" or "" (an older client, or a flag).
        strategy: "repo-root" or "basename".
        identity: the normalised git remote, or an explicit identity from the marker, or "".
        repo_root: the main repository's root on the client, or "".
    """

    cwd: str = ""
    workspace: str = ""
    project: str = ""
    project_src: str = ""
    strategy: str = "basename"
    identity: str = ""
    repo_root: str = ""


def plain_path(path: str) -> str:
    r"""Write a directory the way paths are compared: `\` becomes `/`, no trailing slash except at the root."""
    slashed = path.replace("\\", "/")
    return slashed.rstrip("/") or ("/" if slashed else "")


def contains(folder: str, path: str) -> bool:
    """Tell whether `path` is `folder` or lies below it, by whole components."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def basename(path: str) -> str:
    """Give the last component of a plain path."""
    return path.rsplit("/", 1)[-1]
