"""What a directory is: markers above it, the repository around it, its remote. Facts only, no TOML, no process."""

from __future__ import annotations

import os

from .disk import read_regular
from .remote import normalise_remote, remote_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MARKER = ".ai-memory.toml"
LARGEST_MARKER = 65_536
_LINK = 4096


class Place:
    """The facts about a directory, as they were when the event happened.

    Attributes:
        cwd: the directory as the agent gave it, absolute when it was; "" when unknown.
        markers: path and text of the marker files that apply, nearest first; the text is None when the file
            could not be read or is larger than 64 KiB.
        root: the root of the work tree, or "".
        main_root: the root of the main repository, also from inside a linked work tree, or "".
        identity: the remote as `normalise_remote` spells it, or "".
        at_home: whether the directory is the user's home or the root of the disk.
    """

    __slots__ = ("at_home", "cwd", "identity", "main_root", "markers", "root")

    def __init__(
        self,
        cwd: str,
        markers: tuple[tuple[str, str | None], ...] = (),
        root: str = "",
        main_root: str = "",
        identity: str = "",
        at_home: bool = False,
    ) -> None:
        self.cwd = cwd
        self.markers = markers
        self.root = root
        self.main_root = main_root
        self.identity = identity
        self.at_home = at_home

    def facts(self) -> dict[str, Any]:
        """Give the facts as a JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Place:
        """Make a place of what `facts` gave."""
        markers = tuple((path, text) for path, text in facts["markers"])
        return cls(facts["cwd"], markers, facts["root"], facts["main_root"], facts["identity"], bool(facts["at_home"]))


def look(cwd: str, home: str | None, *, ignore_marker: bool = False) -> Place:
    """Look at a directory.

    A repository at the home directory or at the root of the disk is no project's repository and does not count.

    Args:
        cwd: the directory; it need not exist any more.
        home: the user's home directory, or None when nothing names it.
        ignore_marker: leave marker files out.
    """
    if not cwd:
        return Place("")
    try:
        here = os.path.realpath(cwd)
    except ValueError:
        # A NUL or half a surrogate pair: no directory has such a name.
        return Place("")
    base = os.path.realpath(home) if home else ""
    top = os.path.dirname(here)
    at_home = here in (base, top)
    root = next((folder for folder in _upward(here) if _is_root(folder, base)), "")
    git_dir, common = _git_dirs(root) if root else ("", "")
    config = os.path.join(common or git_dir, "config")
    return Place(
        cwd.rstrip("/") or "/",
        () if ignore_marker else tuple(_markers(here, base, root)),
        root,
        _main_root(root, common) if root else "",
        normalise_remote(remote_url(config)) if root else "",
        at_home,
    )


def query(place: Place, strategy: str = "") -> dict[str, str]:
    """Give the routing parameters of an event or a question from this place.

    Args:
        place: the facts.
        strategy: the installation's default strategy, "repo-root" or ""; a marker wins over it.

    Raises:
        MarkerError: a marker that decides holds something wrong.
    """
    found = {"cwd": place.cwd} if place.cwd else {}
    if place.markers:
        from .marker import routing

        found.update(routing(place.markers))
    if not found.get("project_strategy") and strategy.replace("_", "-") == "repo-root":
        found["project_strategy"] = "repo-root"
    if found.get("project"):
        found["project_src"] = "marker"
    elif found.get("project_strategy") == "repo-root" and place.main_root:
        found["project"] = os.path.basename(place.main_root).removesuffix(".git")
        found["project_src"] = "repo-root"
    if found.get("identity"):
        found["identity_src"] = "explicit"
    elif place.identity:
        found["identity"] = place.identity
        found["identity_src"] = "git_remote"
    if place.main_root:
        found["repo_root"] = place.main_root
    return found


def is_recorded(place: Place) -> bool:
    """Tell whether events from here are kept: not from the home directory or `/`, unless a marker names a project.

    Raises:
        MarkerError: the marker that would name it holds something wrong.
    """
    return not place.at_home or bool(place.markers and query(place).get("project"))


def _upward(folder: str) -> Iterator[str]:
    while True:
        yield folder
        above = os.path.dirname(folder)
        if above == folder:
            return
        folder = above


def _is_root(folder: str, home: str) -> bool:
    return folder != home and os.path.dirname(folder) != folder and os.path.exists(os.path.join(folder, ".git"))


def _markers(cwd: str, home: str, root: str) -> Iterator[tuple[str, str | None]]:
    """Walk up to the home directory; outside of it to the checkout's root; else look into the directory alone."""
    inside = cwd == home or cwd.startswith(home.rstrip(os.sep) + os.sep)
    last = "" if not home else home if inside else root or cwd
    for folder in _upward(cwd):
        path = os.path.join(folder, MARKER)
        try:
            raw = read_regular(path, LARGEST_MARKER + 1)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError:
            yield path, None
        else:
            yield path, raw.decode("utf-8-sig", "surrogateescape") if len(raw) <= LARGEST_MARKER else None
        if folder == last:
            return


def _git_dirs(root: str) -> tuple[str, str]:
    """Give the repository's own folder and, for a linked work tree, the one that it shares with the main one."""
    git = os.path.join(root, ".git")
    if os.path.isdir(git):
        return git, ""
    pointer = _first_line(git)
    if not pointer.startswith("gitdir:"):
        return git, ""
    folder = os.path.normpath(os.path.join(root, pointer[7:].strip()))
    common = _first_line(os.path.join(folder, "commondir"))
    return folder, os.path.realpath(os.path.join(folder, common)) if common else ""


def _main_root(root: str, common: str) -> str:
    if not common:
        return root
    folder, name = os.path.split(common)
    # A bare repository is its own root, unless it hides in the folder that holds the work trees.
    return folder if name.startswith(".") else common


def _first_line(path: str) -> str:
    try:
        return read_regular(path, _LINK).decode("utf-8", "surrogateescape").partition("\n")[0].strip()
    except OSError:
        return ""
