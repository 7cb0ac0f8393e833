"""Manifests: `_meta.md` of each workspace and project, with its names, and with the tombstones of what was deleted.

The tree alone rebuilds the registry. Other people write these files, too: with an editor, and with `git pull`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from ai_memory.errors import StorageError
from ai_memory.model.handoff import stamp
from ai_memory.model.page import parsed, with_keys
from ai_memory.model.scope import Project, Workspace
from ai_memory.model.tombstone import Tombstone, together, tombstones_in, with_tombstones
from ai_memory.store.files import link_on_way, write_whole
from ai_memory.store.git import Git, GitError

MANIFEST = "_meta.md"
_MISSING = "is missing"


class WikiAwayError(StorageError):
    """The wiki is not where it was: nothing is written until it is back."""


class ManifestUnreadableError(StorageError):
    """A manifest cannot be read, so it is not written over."""

    status = 409


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What a manifest says, and why it cannot be believed, "" when it can."""

    text: str
    front: Mapping[str, object]
    body: str
    problem: str


class Manifests:
    """The manifests of a wiki, as they are and as they were when they could be read last."""

    def __init__(self, root: Path) -> None:
        self.git = Git(root)
        self.root = root
        #: What was deleted: by project's id, and by workspace's id for its projects.
        self.gone: dict[UUID, dict[str, Tombstone]] = {}
        #: The purges among them that are kept elsewhere, too: they hold whatever a manifest says.
        self.purged: dict[UUID, dict[str, Tombstone]] = {}
        #: Folders whose manifest lacks one of those, with what it lacks.
        self.forgetful: dict[Path, list[str]] = {}
        #: Manifests that are missing or cannot be read (from the root), and why.
        self.unreadable: dict[str, str] = {}
        #: What each manifest's front matter was when it was last read or written.
        self._fronts: dict[UUID, Mapping[str, object]] = {}
        #: The folders that have a manifest, or had one when they were last looked at.
        self._homes: set[str] = set()
        with suppress(GitError):
            committed = self.git.tree("HEAD") if self.git.head() else ()
            self._homes.update(path.removesuffix(f"/{MANIFEST}") for path in committed if path.endswith(f"/{MANIFEST}"))

    # Reading

    def projects(self) -> Iterator[Project]:
        """List the projects that have a manifest, on disk or (where it is missing there) in git."""
        self.unreadable.clear()
        self.forgetful.clear()
        for workspace in self.workspaces():
            for folder in self._folders(self.root / str(workspace.id)):
                # Before its manifest is read: a folder that came back has the tombstones of another time.
                if not self.is_gone(workspace.id, folder.name) and (front := self._manifest(folder)):
                    yield _project(front, UUID(folder.name), workspace)

    def workspaces(self) -> Iterator[Workspace]:
        """List the workspaces that have a manifest, also those without a project."""
        for folder in self._folders(self.root):
            if front := self._manifest(folder):
                aliases, user = _texts(front.get("aliases")), str(front.get("user") or "")
                yield Workspace(UUID(folder.name), str(front["name"]), aliases, user)

    def away(self) -> str:
        """Say that the tree on disk is not to be believed, because all of it is gone; "" where it is not."""
        there = (self.root / MANIFEST, *(self.root / home / MANIFEST for home in self._homes))
        if (self.root / ".git").exists() and (not self._homes or any(file.exists() for file in there)):
            return ""
        return f"the wiki is not in {self.root} any more: put it back (is its disk mounted?), or restart to see why"

    def check_there(self) -> None:
        """Refuse to read or write a tree that is not there.

        Raises:
            WikiAwayError: that is so.
        """
        if away := self.away():
            raise WikiAwayError(away)

    def committable(self, manifests: Iterable[str]) -> list[str]:
        """Choose the manifests (paths from the root) that are there and can be read: no other belongs in a commit."""
        return [path for path in manifests if not self._read(self.root / path).problem]

    def _folders(self, parent: Path) -> list[Path]:
        homes = {self.root / home for home in self._homes}
        there = set(parent.iterdir()) if parent.is_dir() else set()
        return sorted(each for each in there | homes if each.parent == parent and _is_id(each.name))

    def _manifest(self, folder: Path) -> Mapping[str, object]:
        """Read a manifest, and the tombstones in it; {} for a folder that is none of ours.

        One that is missing though git has it, or that cannot be read, says what it said before.
        """
        scope, home, found = UUID(folder.name), self._home(folder), self._read(folder / MANIFEST)
        front, gone = found.front, tombstones_in(found.body)
        if found.problem:
            in_git = self._in_git(home)
            if found.problem == _MISSING and in_git is None:
                self._forget(folder)
                return {}
            former = _parsed(in_git or "")
            self.unreadable[f"{home}/{MANIFEST}"] = found.problem
            front = self._fronts.get(scope) or former.front
            gone = together(self.gone.get(scope, tombstones_in(former.body)).values(), gone.values())
        purged = self.purged.get(scope, {})
        if lost := [key for key in purged if key not in gone or not gone[key].is_purge]:
            self.forgetful[folder] = lost
        self.gone[scope] = together(purged.values(), gone.values())
        if not front.get("name"):
            return {}
        self._fronts[scope] = front
        self._homes.add(home)
        return front

    def _read(self, file: Path) -> _Manifest:
        if link_on_way(self.root, file.relative_to(self.root).as_posix()):
            return _Manifest("", {}, "", "is behind a symbolic link, which is not followed")
        try:
            return _parsed(file.read_bytes().decode())
        except FileNotFoundError:
            return _Manifest("", {}, "", _MISSING)
        except UnicodeDecodeError:
            return _Manifest("", {}, "", "is not UTF-8")
        except OSError as error:
            return _Manifest("", {}, "", f"cannot be read ({error.strerror})")

    def _in_git(self, home: str) -> str | None:
        return self.git.show(f"{home}/{MANIFEST}") if home in self._homes else None

    def _forget(self, folder: Path) -> None:
        self._homes.discard(self._home(folder))
        # Not where somebody has only moved it to another workspace.
        if not any(home.endswith(folder.name) for home in self._homes):
            self._fronts.pop(UUID(folder.name), None)
            self.gone.pop(UUID(folder.name), None)

    def _home(self, folder: Path) -> str:
        return folder.relative_to(self.root).as_posix()

    # Tombstones

    def is_gone(self, scope_id: UUID, what: str) -> bool:
        """Tell whether a page or session of a project, or a project of a workspace, was deleted."""
        return what in self.gone.get(scope_id, ())

    def is_buried(self, scope_id: UUID, what: str) -> bool:
        """Tell whether a page was deleted in such a way that what it said may still be looked up."""
        tombstone = self.gone.get(scope_id, {}).get(what)
        return tombstone is not None and not tombstone.is_purge

    def bury(self, folder: Path, tombstones: Iterable[Tombstone]) -> None:
        """Write tombstones into the manifest of a project's (or workspace's) folder; the next commit takes them in.

        Raises:
            ManifestUnreadableError, MergeUnfinishedError, StorageError: it could not be written.
        """
        self.git.check_free()
        self._rewrite(folder, {}, buried=tombstones)

    def revive(self, folder: Path, keys: Iterable[str]) -> None:
        """Take tombstones away, but for those of purges; the next commit takes that in.

        Raises:
            ManifestUnreadableError, MergeUnfinishedError, StorageError: it could not be written.
        """
        self.git.check_free()
        self._rewrite(folder, {}, revived=frozenset(keys))

    # Writing

    def write_manifest(self, project: Project, created: datetime) -> Project:
        """Write a project's manifest (and its workspace's, when that is new); the next commit takes them in.

        Returns:
            the project as its manifest has it now: with what somebody else has changed there meanwhile.

        Raises:
            ManifestUnreadableError, StorageError: it could not be written.
        """
        folder = self.root / str(project.workspace_id) / str(project.id)
        if not (folder.parent / MANIFEST).exists():
            self._rewrite(folder.parent, {"type": "Workspace", "name": project.workspace})
        front = self._rewrite(
            folder,
            {
                "type": "Project",
                "name": project.name,
                "workspace": project.workspace,
                "identity": project.identity or None,
                "roots": list(project.roots) or None,
                "aliases": list(project.aliases) or None,
                "created": self._fronts.get(project.id, {}).get("created", stamp(created)),
                **({"repo": project.repo} if project.repo else {}),
            },
        )
        return _project(front, project.id, Workspace(project.workspace_id, project.workspace))

    def write_workspace(self, workspace: Workspace) -> None:
        """Write a workspace's manifest, with its tombstones; the next commit takes it in.

        Raises:
            ManifestUnreadableError, StorageError: it could not be written.
        """
        keys = {"type": "Workspace", "name": workspace.name, "aliases": list(workspace.aliases) or None}
        self._rewrite(self.root / str(workspace.id), keys | ({"user": workspace.user} if workspace.user else {}))

    def _rewrite(
        self,
        folder: Path,
        keys: Mapping[str, object],
        *,
        buried: Iterable[Tombstone] = (),
        revived: frozenset[str] = frozenset(),
    ) -> Mapping[str, object]:
        """Change a manifest as it is on disk now; every other word in it stays. Gives its front matter."""
        scope, file = UUID(folder.name), folder / MANIFEST
        self.check_there()
        old = self._read(file)
        if old.problem and old.problem != _MISSING:
            raise ManifestUnreadableError(f"{file} {old.problem}: put that right first, or take the file back from git")
        known = self._fronts.get(scope, {})
        # What was read from git is older than what we know.
        base = _parsed(with_keys(self._in_git(self._home(folder)) or "", known)) if old.problem else old
        gone = together(self.gone.get(scope, {}).values(), tombstones_in(old.body).values(), buried)
        gone = {key: each for key, each in gone.items() if key not in revived or each.is_purge}
        text = base.text.removesuffix(base.body) + with_tombstones(base.body, gone.values())
        text = with_keys(text, {key: _both(known.get(key), base.front.get(key), keys[key]) for key in keys})
        try:
            if text != old.text:
                write_whole(file, text.encode())
        except OSError as error:
            raise StorageError(f"the wiki could not be written: {error.strerror} ({folder})") from error
        self.gone[scope] = gone
        self._fronts[scope] = _parsed(text).front
        self._homes.add(self._home(folder))
        return self._fronts[scope]


def _project(front: Mapping[str, object], project_id: UUID, workspace: Workspace) -> Project:
    return Project(
        id=project_id,
        workspace_id=workspace.id,
        workspace=workspace.name,
        name=str(front["name"]),
        identity=str(front.get("identity") or ""),
        roots=_texts(front.get("roots")),
        aliases=_texts(front.get("aliases")),
        repo=str(front.get("repo") or ""),
    )


def _parsed(text: str) -> _Manifest:
    page = parsed(MANIFEST, text)
    problem = "" if page.front.get("name") else "says no name"
    if page.problems:
        problem = f"cannot be read ({'; '.join(page.problems)})"
    return _Manifest(text, page.front, page.body, problem)


def _both(known: object, now: object, ours: object) -> object:
    """Bring together what somebody else and what we have made of a value that both of us knew."""
    if now == known:
        return ours
    if isinstance(now, list) and isinstance(ours, list | None):
        before, after = (known if isinstance(known, list) else []), ours or []
        kept = [each for each in now if each in after or each not in before]
        return kept + [each for each in after if each not in before and each not in kept] or None
    return now if ours == known else ours


def _is_id(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, list) else ()
