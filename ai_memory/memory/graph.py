"""The graph: pages, and what leads from one to another."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from uuid import UUID

from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.scope import Project

#: The type of an edge that is a link in a page's text.
LINKS = "links"
_KINDS = {
    "rule": 0.4,
    "slot": 0.4,
    "decision": 0.4,
    "narrative": 0.4,
    "gotcha": 0.3,
    "procedure": 0.3,
    "concept": 0.3,
    "session": 0.1,
    "session_log": 0.1,
}
_ANY_KIND, _PINNED, _LINKED = 0.2, 0.2, 0.4
#: So many links to a page are as much as there can be.
_MANY = 32


@dataclass(frozen=True, slots=True)
class Node:
    """A page of a graph; `importance` is 0 to 1."""

    project: Project
    path: str
    title: str
    kind: str
    importance: float


@dataclass(frozen=True, slots=True)
class Edge:
    """What leads from one page to another, by their places among the nodes.

    `type` is "links" (a link in the text), what a record says of another ("supersedes", "related_to"), "supersedes" of
    any page's front matter, or "parent" (the packet that a packet goes on from).
    """

    source: int
    target: int
    type: str


@dataclass(frozen=True, slots=True)
class Graph:
    """Pages, the most important first, what leads from one to another, and how many pages there was no room for."""

    nodes: Sequence[Node]
    edges: Sequence[Edge]
    left_out: int


class LinkGraph:
    """How the pages of all projects hang together. Neither expired pages nor reports of lint have a part in it."""

    def __init__(self, stores: Stores, projects: Projects) -> None:
        self._stores = stores
        self._projects = projects

    def of(self, projects: Sequence[Project], *, limit: int = 2000) -> Graph:
        """Give the graph of projects; both ends of every edge are in it.

        Args:
            projects: whose pages; () means all.
            limit: so many pages; the most important ones are kept.
        """
        chosen = {str(project.id): project for project in projects or self._projects.all()}
        ids = [project.id for project in chosen.values()]
        rows = self._stores.page_graph.pages(ids, self._stores.clock())
        named = self._named_in()
        ranked = [
            (
                -importance_of(kind, links + named.get((project, path), 0), pinned=bool(pinned)),
                project,
                path,
                title,
                kind,
            )
            for project, path, title, kind, pinned, links in rows
        ]
        kept = sorted(ranked)[:limit]
        places = {(project, path): place for place, (_, project, path, _, _) in enumerate(kept)}
        nodes = [Node(chosen[project], path, title, kind, -least) for least, project, path, title, kind in kept]
        return Graph(nodes, self._edges(ids, nodes, places), len(rows) - len(kept))

    def across(self) -> list[tuple[Project, str, Project, str]]:
        """List the links between different projects that lead to a page: from which page, and to which."""
        now = self._stores.clock()
        found: set[tuple[Project, str, Project, str]] = set()
        for way in self._stores.pages.ways_out():
            source = self._projects.known(way.project_id)
            target = self._projects.linked(source, way.workspace, way.project) if source else None
            if source and target and source.id != target.id:
                linked = self._stores.page_graph.linked_by(way, target.id, now)
                found.update((source, path, target, to_path) for path, to_path in linked)
        return sorted(found, key=lambda link: (link[0].label, link[1], link[2].label, link[3]))

    def _named_in(self) -> Counter[tuple[str, str]]:
        """Count the links to pages that name the project, by the page's project and path."""
        counted: Counter[tuple[str, str]] = Counter()
        for way in self._stores.pages.ways_out():
            source = self._projects.known(way.project_id)
            if target := self._projects.linked(source, way.workspace, way.project) if source else None:
                for path, count in self._stores.page_graph.links_in(way):
                    counted[str(target.id), path] += count
        return counted

    def _edges(self, ids: Sequence[UUID], nodes: Sequence[Node], places: dict[tuple[str, str], int]) -> list[Edge]:
        by_id = {project.id: project for project in {node.project.id: node.project for node in nodes}.values()}

        @cache
        def named(source: UUID, workspace: str, project: str) -> str:
            found = self._projects.linked(by_id[source], workspace, project)
            return str(found.id) if found else ""

        edges: dict[tuple[int, int, str], None] = {}
        keys = list(places)
        for source, workspace, project, path in self._stores.page_graph.links_of(keys):
            home = named(nodes[source].project.id, workspace, project) if project else keys[source][0]
            target = places.get((home, path), source)
            if target != source:
                edges[source, target, LINKS] = None
        for home, path, type_, other, to_path in self._stores.page_graph.typed(ids):
            begin, end = places.get((home, path)), places.get((other, to_path))
            if begin is not None and end is not None and begin != end:
                edges[begin, end, type_] = None
        return [Edge(*edge) for edge in edges]


@lru_cache(4096)
def importance_of(kind: str, links: int, *, pinned: bool) -> float:
    """Say how much a page matters in a graph, 0 to 1.

    0.4 for a rule, slot, decision or narrative, 0.3 for a gotcha, procedure or concept, 0.1 for a session, else 0.2;
    0.2 more where it is pinned; and up to 0.4 for links to it, by their logarithm: half of that for 5, all for 32.
    """
    linked = min(1.0, math.log1p(links) / math.log1p(_MANY))
    return round(_KINDS.get(kind, _ANY_KIND) + (_PINNED if pinned else 0.0) + _LINKED * linked, 4)
