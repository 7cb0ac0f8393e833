"""The folders of a project, and the pages in them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from ai_memory.errors import NotFoundError
from ai_memory.memory.briefing import BriefingPage
from ai_memory.memory.browsing import FolderRow
from ai_memory.model.scope import Project
from ai_memory.server.web.screen import Screen, Values, Visit

#: On one screen, folders and pages together.
_ROWS = 100


def folder(visit: Visit) -> Values:
    """List what is directly in a folder; or with a `name` the pages anywhere below that have it in title or path."""
    project, path, name = visit.project, visit.asked("folder").strip("/"), visit.asked("name")
    page = max(1, visit.whole("page", 1, 10**6))
    listed = _named(visit, project, path, name, page) if name else _directly(visit, project, path, page)
    folders, pages, total = listed
    last, parts = max(1, -(-total // _ROWS)), path.split("/") if path else []
    return {
        "scope": project,
        "project": project,
        "folder": path,
        "folders_above": list(zip(parts, accumulate(parts, "{}/{}".format), strict=True)),
        "name": name,
        "folders": folders,
        "pages": pages,
        "total": total,
        "page": page,
        "last": last,
        "before": visit.at.pages(project, path, min(page - 1, last), name=name) if page > 1 else "",
        "after": visit.at.pages(project, path, page + 1, name=name) if page < last else "",
    }


def _directly(
    visit: Visit, project: Project, path: str, page: int
) -> tuple[Sequence[FolderRow], Sequence[BriefingPage], int]:
    browsing, start = visit.memory.browsing, (page - 1) * _ROWS
    found = browsing.folder(project, path, limit=_ROWS, offset=0)
    if path and not found.folders and not found.total:
        raise NotFoundError(f"{project.label} has no folder {path}, or no page below it")
    # Folders come first, and how many there are is known now.
    folders = found.folders[start : start + _ROWS]
    room, offset = _ROWS - len(folders), max(0, start - len(found.folders))
    pages = found.pages[:room] if not offset else browsing.folder(project, path, limit=room, offset=offset).pages
    return folders, pages if room else [], len(found.folders) + found.total


def _named(
    visit: Visit, project: Project, path: str, name: str, page: int
) -> tuple[Sequence[FolderRow], Sequence[BriefingPage], int]:
    below, wanted = f"{path}/" if path else "", name.casefold()
    found = [
        each
        for each in visit.memory.browsing.pages(project)
        if each.row.path.startswith(below)
        and (wanted in each.row.path[len(below) :].casefold() or wanted in each.row.title.casefold())
    ]
    return [], found[(page - 1) * _ROWS : page * _ROWS], len(found)


SCREENS = (Screen("/w/{workspace}/{project}/pages", "folder.html", folder),)
