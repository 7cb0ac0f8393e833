"""Scope resolution: which project an event or a question belongs to, and how sure that is. Pure.

The client looked at the disk (marker, repository, remote) and sent what it found; here it meets the projects
that exist. Nothing is created here: `New` says what a writer would have to create.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ai_memory.errors import ScopeUnresolvedError
from ai_memory.model.scope import (
    DEFAULT_WORKSPACE,
    FALLBACK_PROJECT,
    GLOBAL_PROJECT,
    Project,
    Resolved,
    Routing,
    basename,
    checked_name,
    contains,
    plain_path,
)

_ROOTS = 16
_LONGEST_NAME = 128
#: Roots of disks and home directories on any system; the server's own home is in `Defaults`.
_NO_PROJECT = re.compile(r"/|/root|/home/[^/]+|/Users/[^/]+|[A-Za-z]:/?|[A-Za-z]:/Users/[^/]+", re.IGNORECASE)
_NO_NAMES = frozenset({"", ".", "..", GLOBAL_PROJECT})
_SCRATCH = ("/tmp", "/var/tmp", "/private/tmp", "/private/var/folders", "/dev/shm")  # noqa: S108 - only compared


@dataclass(frozen=True, slots=True)
class New:
    """A project that does not exist yet, as a writer would create it; `by` says how it was named."""

    workspace: str
    name: str
    identity: str
    roots: tuple[str, ...]
    by: str


@dataclass(frozen=True, slots=True)
class Defaults:
    """Where an event goes that says nothing of its place (`serve --workspace --project`), and the server's home."""

    workspace: str = DEFAULT_WORKSPACE
    project: str = FALLBACK_PROJECT
    home: str = ""


def resolve(
    routing: Routing, projects: Sequence[Project], defaults: Defaults, session: Sequence[Project] = ()
) -> Resolved | New:
    """Find the project of an event, or say what would have to be created.

    In this order: the project that a marker or flag names; the project with the same identity (two clones are
    one project); the project that knows this repository root; for an event of a running session that is not
    in another repository, the session's project; a project whose root contains the directory; the name of
    the root or directory; the server's default.

    Args:
        routing: what the client sent.
        projects: all that exist.
        defaults: the server's fallback.
        session: the projects that the event's session already works in, newest first.

    Raises:
        BadNameError: a marker or flag holds a name that is not legal.
        ScopeUnresolvedError: the directory is a home directory or the root of the disk.
    """
    workspace = checked_name(routing.workspace, "workspace") if routing.workspace else ""
    here = [p for p in projects if p.workspace.casefold() == (workspace or defaults.workspace).casefold()]
    if routing.project and routing.project_src != "repo-root" and routing.project != GLOBAL_PROJECT:
        by = "marker" if routing.project_src == "marker" else "explicit"
        return _named(routing.project, here, routing, workspace or defaults.workspace, by)
    repository = _of_repository(routing, here)
    if repository:
        return repository
    if session and not workspace and not _is_elsewhere(routing, session[0]):
        return Resolved(session[0], "session")
    if not routing.cwd and not routing.repo_root:
        return _named(defaults.project, here, Routing(), workspace or defaults.workspace, "default")
    root = routing.repo_root or routing.cwd
    name = derived_name(routing)
    if root == defaults.home or _NO_PROJECT.fullmatch(root) or name.casefold() in _NO_NAMES:
        raise ScopeUnresolvedError(
            f"nothing is recorded for {root}: a home directory, the root of the disk or a reserved name is no "
            "project; put an .ai-memory.toml with a project name there if it shall be one"
        )
    if not routing.identity and (inside := _containing(routing.cwd, here)):
        return Resolved(inside, "path")
    return _by_name(name, here, routing, workspace or defaults.workspace)


def derived_name(routing: Routing) -> str:
    """Name a project that nobody named: after its repository's root or its directory, as that is written."""
    name = basename(plain_path(routing.project)) or basename(routing.repo_root or routing.cwd)
    return "".join(sign for sign in name if sign.isprintable())[:_LONGEST_NAME].strip()


def _named(name: str, here: Sequence[Project], routing: Routing, workspace: str, by: str) -> Resolved | New:
    found = _find(name, here)
    if found:
        return Resolved(found, by)
    return New(workspace, checked_name(name, "project"), routing.identity, _roots(routing), by)


def _of_repository(routing: Routing, here: Sequence[Project]) -> Resolved | None:
    if routing.identity:
        for project in here:
            if project.identity == routing.identity:
                return Resolved(project, "git-remote")
    if routing.repo_root:
        for project in here:
            # A root that now has another remote is another repository in the same place.
            if routing.repo_root in project.roots and (not routing.identity or not project.identity):
                return Resolved(project, "repo-root")
    return None


def _is_elsewhere(routing: Routing, project: Project) -> bool:
    """Tell whether a running session has moved to another repository.

    Directories that are no repository, repositories inside the session's own tree (a submodule, a vendored
    clone) and clones in a scratch folder stay with the session.
    """
    root = routing.repo_root
    if not root or any(contains(folder, root) for folder in _SCRATCH):
        return False
    return not any(contains(own, root) for own in project.roots)


def _containing(cwd: str, here: Sequence[Project]) -> Project | None:
    inside = [(len(root), project) for project in here for root in project.roots if contains(root, cwd)]
    return max(inside, key=lambda pair: pair[0])[1] if inside else None


def _by_name(name: str, here: Sequence[Project], routing: Routing, workspace: str) -> Resolved | New:
    found = _find(name, here)
    if found is None:
        return New(workspace, name, routing.identity, _roots(routing), _how(routing))
    if (routing.identity or routing.repo_root) and (found.identity or found.roots):
        return New(workspace, _free_name(name, here, routing), routing.identity, _roots(routing), _how(routing))
    return Resolved(found, "name")


def _free_name(name: str, here: Sequence[Project], routing: Routing) -> str:
    """Name a second repository of the same name after its owner ("shop-acme"), else number it."""
    owner = routing.identity.split("/")[-2] if routing.identity.count("/") >= 2 else ""
    candidates: Iterable[str] = [f"{name}-{owner}"] if owner else []
    for candidate in [*candidates, *(f"{name}-{number}" for number in range(2, 1000))]:
        if _find(candidate, here) is None:
            return candidate
    raise ScopeUnresolvedError(f"there are too many projects named {name!r}: name this one in an .ai-memory.toml")


def _find(name: str, here: Sequence[Project]) -> Project | None:
    """Find a project by its name, else by one that it had before it was renamed."""
    wanted = name.casefold()
    present = (project for project in here if project.name.casefold() == wanted)
    former = (project for project in here if wanted in map(str.casefold, project.aliases))
    return next(present, None) or next(former, None)


def _how(routing: Routing) -> str:
    if routing.identity:
        return "git-remote"
    return "repo-root" if routing.repo_root else "name"


def _roots(routing: Routing) -> tuple[str, ...]:
    return (routing.repo_root,) if routing.repo_root else ()


def widened(project: Project, routing: Routing) -> Project | None:
    """Give the project with the identity and root that this event adds to it, None when it adds nothing.

    Only a repository widens a project; a bare directory never does (a session opened in a home directory
    would make it answer for everything below).
    """
    identity = project.identity or routing.identity
    roots = project.roots
    if routing.repo_root and routing.repo_root not in roots and len(roots) < _ROOTS:
        roots = (*roots, routing.repo_root)
    if identity == project.identity and roots == project.roots:
        return None
    return replace(project, identity=identity, roots=roots)


#: The query parameters that say where a client is.
ROUTING_KEYS = ("cwd", "workspace", "project", "project_src", "project_strategy", "identity", "repo_root")


def routing_of(query: Mapping[str, str], body_cwd: str = "") -> Routing:
    """Read the routing parameters of a request; the body's directory beats the query's."""
    strategy = query.get("project_strategy", "").replace("_", "-")
    return Routing(
        cwd=plain_path(body_cwd or query.get("cwd", "")),
        workspace=query.get("workspace", ""),
        project=query.get("project", ""),
        project_src=query.get("project_src", ""),
        strategy="repo-root" if strategy == "repo-root" else "basename",
        identity=query.get("identity", "").casefold(),
        repo_root=plain_path(query.get("repo_root", "")),
    )
