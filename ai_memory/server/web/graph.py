"""The graph: pages and what leads from one to another, as a list, and as data for the script that draws it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass

from aiohttp import web

from ai_memory.capture.plain import harmless
from ai_memory.memory.graph import Graph, Node
from ai_memory.server.web.scope import chosen
from ai_memory.server.web.screen import Screen, Values, Visit, page, visit_of

#: So many pages are listed beside the drawing.
_LISTED = 200


@dataclass(frozen=True, slots=True)
class Linked:
    """A page in the list: its number in the drawing, and how many links it has, both ways."""

    number: int
    node: Node
    links: int


def graph(visit: Visit) -> Values:
    """List the pages with most links; the script draws all of them."""
    scope = chosen(visit)
    found = visit.memory.graph.of(scope.projects)
    links = _links(found)
    ranked = sorted(range(len(found.nodes)), key=lambda number: (-links[number], number))
    kinds = Counter(node.kind for node in found.nodes)
    return {
        "scope": scope.one,
        "chosen": scope,
        "data": visit.at.graph_data(**scope.asked),
        "pages": [Linked(number, found.nodes[number], links[number]) for number in ranked[:_LISTED]],
        "counts": {"pages": len(found.nodes), "links": len(found.edges), "left_out": found.left_out},
        "kinds": kinds.most_common(),
    }


async def data(request: web.Request) -> web.StreamResponse:
    """GET /graph.json: the pages, and the edges by their places among these."""
    visit = visit_of(request)

    def written() -> bytes:
        found = visit.memory.graph.of(chosen(visit).projects)
        nodes = [
            {
                "title": harmless(node.title),
                "kind": harmless(node.kind),
                "project": node.project.label,
                "importance": node.importance,
                "address": visit.at.page(node.project, node.path),
            }
            for node in found.nodes
        ]
        edges = [(edge.source, edge.target, harmless(edge.type)) for edge in found.edges]
        told = {"nodes": nodes, "edges": edges, "left_out": found.left_out}
        return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")

    answer = page(request, await asyncio.to_thread(written))
    answer.headers["Content-Type"] = "application/json; charset=utf-8"
    return answer


def _links(found: Graph) -> Counter[int]:
    counted: Counter[int] = Counter()
    for edge in found.edges:
        counted[edge.source] += 1
        counted[edge.target] += 1
    return counted


SCREENS = (Screen("/graph", "graph.html", graph),)
ROUTES = (web.get("/graph.json", data),)
