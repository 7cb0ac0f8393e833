"""Addresses: every URL that a page shows is made here, below the base path and the slug."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlencode
from uuid import UUID

from ai_memory.model.scope import Project

#: Where what signs people in, and its style, is, whatever the slug.
DOOR = "/web"
_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")


def mount_path(said: str) -> str | None:
    """Read a path to mount something at: "" for the root, else "/a/b"; None for what could lead elsewhere."""
    segments = [segment for segment in said.strip().split("/") if segment]
    if all(_SEGMENT.fullmatch(segment) and segment not in (".", "..") for segment in segments):
        return "".join(f"/{segment}" for segment in segments)
    return None


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where things are.

    Attributes:
        base: the path below which everything is served, "" or "/memory".
        slug: the path of the wiki below it, "" or "/web".
        digest: gives a few signs of the content of a static file, so that a new one is never an old one of a cache.
    """

    base: str
    slug: str
    digest: Callable[[str], str]

    @property
    def root(self) -> str:
        """Where the wiki begins."""
        return self.base + self.slug

    def home(self) -> str:
        """Where all workspaces and projects are."""
        return self.root or "/"

    def workspace(self, name: str) -> str:
        """Where a workspace is."""
        return f"{self.root}/w/{_segment(name)}"

    def project(self, project: Project) -> str:
        """Where a project is."""
        return f"{self.workspace(project.workspace)}/{_segment(project.name)}"

    def pages(self, project: Project, folder: str = "", page: int = 1, *, name: str = "") -> str:
        """Where the pages of a folder are listed, or those below it that have something in their name."""
        return _asking(f"{self.project(project)}/pages", folder=folder, name=name, page="" if page == 1 else page)

    def page(self, project: Project, path: str, *, revision: str = "", at: str = "", anchor: str = "") -> str:
        """Where a page is: as it is, as a commit saw it, or as it was at a time."""
        address = _asking(f"{self.project(project)}/p/{_path(path)}", revision=revision, at=at)
        return f"{address}#{quote(anchor)}" if anchor else address

    def raw(self, project: Project, path: str, *, revision: str = "") -> str:
        """Where the text of a page is, as it is in its file."""
        return _asking(f"{self.project(project)}/raw/{_path(path)}", revision=revision)

    def diff(self, project: Project, path: str, *, old: str = "", new: str = "") -> str:
        """Where two revisions of a page are compared."""
        return _asking(f"{self.project(project)}/diff/{_path(path)}", old=old, new=new)

    def sessions(self, project: Project, offset: int = 0) -> str:
        """Where the sessions of a project are listed."""
        return _asking(f"{self.project(project)}/sessions", offset=offset or "")

    def session(self, project: Project, session: UUID, offset: int = 0, *, turn: int | None = None) -> str:
        """Where one session is, or one turn of it: its place among what was recorded, from 0."""
        address = f"{self.project(project)}/s/{session}"
        return _asking(address, offset=offset or "") if turn is None else f"{_asking(address, offset=turn)}#n{turn + 1}"

    def handoffs(self, project: Project, handoff: UUID | None = None) -> str:
        """Where the handoffs of a project are listed, and one of them there."""
        return f"{self.project(project)}/handoffs" + (f"#handoff-{handoff}" if handoff else "")

    def packets(self, project: Project, page: int = 1) -> str:
        """Where the packets of a project are listed."""
        return _asking(f"{self.project(project)}/packets", page="" if page == 1 else page)

    def packet(self, project: Project, packet_id: str) -> str:
        """Where one packet is."""
        return f"{self.project(project)}/packet/{_segment(packet_id)}"

    def search(self, **asked: object) -> str:
        """Where one searches; what is empty is left out."""
        return _asking(f"{self.root}/search", **asked)

    def timeline(self, **asked: object) -> str:
        """Where one sees what happened; what is empty is left out."""
        return _asking(f"{self.root}/timeline", **asked)

    def graph(self, **asked: object) -> str:
        """Where one sees how pages hang together; what is empty is left out."""
        return _asking(f"{self.root}/graph", **asked)

    def graph_data(self, **asked: object) -> str:
        """Where the nodes and edges of the graph are; what is empty is left out."""
        return _asking(f"{self.root}/graph.json", **asked)

    def status(self) -> str:
        """Where one sees how the server is."""
        return f"{self.root}/status"

    def static(self, name: str) -> str:
        """Where a static file is."""
        return _asking(f"{self.base}{DOOR}/static/{name}", v=self.digest(name))

    def events(self) -> str:
        """Where the server says that something changed."""
        return f"{self.base}/api/v1/events"

    def sign_in(self, there: str = "") -> str:
        """Where one signs in, and goes on from."""
        return _asking(f"{self.base}{DOOR}/sign-in", next=there)

    def sign_out(self) -> str:
        """Where one signs out."""
        return f"{self.base}{DOOR}/sign-out"

    def device(self, code: str = "") -> str:
        """Where one lets a program in."""
        return _asking(f"{self.base}{DOOR}/device", user_code=code)


def _asking(path: str, **asked: object) -> str:
    said = [(key, each) for key, value in asked.items() for each in (value if isinstance(value, list) else [value])]
    query = urlencode([(key, str(value)) for key, value in said if value not in ("", None)])
    return f"{path}?{query}" if query else path


def _segment(name: str) -> str:
    return quote(name, safe="")


def _path(path: str) -> str:
    return "/".join(_segment(segment) for segment in path.split("/"))
