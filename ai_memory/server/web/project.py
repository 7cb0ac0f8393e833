"""A project as a whole: what is left to do, what it is about, what changed, and what somebody should look at."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markupsafe import Markup

from ai_memory.errors import NotFoundError
from ai_memory.memory.browsing import FolderRow, Health
from ai_memory.memory.packets import OWNER
from ai_memory.model.links import links_of
from ai_memory.model.page import MACHINERY
from ai_memory.model.record import NARRATIVE_PAGE
from ai_memory.model.scope import Project
from ai_memory.server.web.markdown import rendered
from ai_memory.server.web.packets import packet_links
from ai_memory.server.web.page import addressing
from ai_memory.server.web.screen import Screen, Values, Visit
from ai_memory.server.web.work import handoff_rows, session_rows

_RECENT, _STANDING, _SESSIONS, _PACKETS, _FOLDERS = 12, 60, 6, 5, 30
#: Characters of a narrative that are shown, as far as its sections allow.
_OPENING = 1_600
_SECTION = re.compile(r"^(?=## )", re.MULTILINE)


def overview(visit: Visit) -> Values:
    """Show how a project stands."""
    memory, project = visit.memory, visit.project
    found = memory.browsing.overview([project], _RECENT)
    root = memory.browsing.folder(project, "", limit=0, offset=0)
    sessions, _ = memory.browsing.sessions(project, limit=_SESSIONS, offset=0, include_open=True)
    packets, packet_count = memory.packets.of_project(OWNER, project, _PACKETS)
    snapshot = found.snapshot
    return {
        "scope": project,
        "project": project,
        "counts": snapshot.counts,
        "activity": snapshot.activity,
        "last": snapshot.last_observation,
        "days": memory.activity.days([project])[project.id],
        "handoff": next(iter(handoff_rows(visit, project, [found.handoff] if found.handoff else [])), None),
        "open_handoffs": snapshot.pending_handoffs,
        "narrative": _narrative(visit, project),
        "narrative_behind": snapshot.narrative_behind,
        "standing": [*snapshot.rules, *snapshot.slots, *snapshot.pinned][:_STANDING],
        "folders": _in_order(root.folders)[:_FOLDERS],
        "more_folders": max(0, len(root.folders) - _FOLDERS),
        "at_root": root.total,
        "recent": memory.browsing.recent(project, _RECENT, machinery=False),
        "sessions": session_rows(visit, project, sessions),
        "packets": packet_links(visit, project, packets),
        "packet_count": packet_count,
        "health": _health(found.health),
        "neighbours": (
            ("Pages here link to", snapshot.dependencies),
            ("Linked from", snapshot.dependents),
        ),
    }


def _narrative(visit: Visit, project: Project) -> tuple[Markup, bool] | None:
    """Give the beginning of the narrative and whether that is all of it; None without one."""
    try:
        view = visit.memory.pages.read(project, NARRATIVE_PAGE)
    except NotFoundError:
        return None
    first, *sections = _SECTION.split(view.body)
    opening = first[:_OPENING]
    for section in sections:
        if len(opening) + len(section) > _OPENING and opening.strip() not in ("", f"# {view.title}"):
            break
        opening += section[:_OPENING]
    is_all = len(opening) == len(view.body)
    # Only its page has all the headings that it links to.
    opening = opening.replace("](#", f"]({view.path}#")
    targets = visit.memory.pages.targets(project, links_of(view.path, opening))
    shown = rendered(view.path, view.title, opening, addressing(visit, targets))
    return shown.html, is_all


def _in_order(folders: Sequence[FolderRow]) -> list[FolderRow]:
    """Put what is known before what machinery writes."""
    return sorted(folders, key=lambda each: (f"{each.path}/" in MACHINERY, each.name.casefold()))


def _health(health: Health) -> list[tuple[str, str, int, Sequence[object]]]:
    """Say what somebody should look at: a name, what it means, how many there are, and the first pages."""
    sorts = (
        ("Stale", "episodic pages that did not change for 30 days", health.stale, health.stale_pages),
        ("Duplicates", "titles that several pages have", health.duplicates, health.duplicate_pages),
        ("Orphans", "pages that no link leads to or from", health.orphans, health.orphan_pages),
    )
    return [each for each in sorts if each[2]]


SCREENS = (Screen("/w/{workspace}/{project}", "project.html", overview),)
