"""Lint of a project: looks at its pages by rules, adds what a model found, and keeps the page that lists it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ai_memory.compile.lint import FLAGS, REPORT, Finding, Flag, Inspected, lint, report_page
from ai_memory.memory.contradictions import standing
from ai_memory.memory.pages import Pages
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.links import Link
from ai_memory.model.scope import Project
from ai_memory.store.feedback import Said
from ai_memory.store.git import COMMITTER
from ai_memory.store.page_index import MISSING


@dataclass(frozen=True, slots=True)
class Report:
    """What lint found, warnings first; the path of the page that lists the warnings, "" where there is none."""

    findings: Sequence[Finding]
    page: str


class Lint:
    """Lints projects."""

    def __init__(self, stores: Stores, projects: Projects, pages: Pages) -> None:
        self._stores = stores
        self._projects = projects
        self._pages = pages

    def look(self, project: Project) -> list[Finding]:
        """Say what is found in a project now; nothing is written, and no model is asked."""
        findings, _ = self._look(project)
        return findings

    def _look(self, project: Project) -> tuple[list[Finding], datetime | None]:
        """Look at the pages; gives also when a model was last asked about them, None for never."""
        rows = [row for row in self._stores.pages.pages(project.id) if row.size != MISSING and not row.conflicted]
        now = self._stores.clock()
        committed = self._stores.pages.commit_times(project.id)
        reads = self._stores.state.reads.of(project.id)
        blobs = {row.path: row.blob for row in rows}
        said = [each for each in self._stores.state.feedback.of(project.id) if blobs.get(each.path) == each.blob]
        broken = self._broken(project)
        contradictions, compared = standing(self._stores, project, blobs)
        findings = lint(
            (
                Inspected(
                    path=row.path,
                    title=row.title,
                    kind=row.kind,
                    tier=row.tier,
                    pinned=row.pinned,
                    expires_at=row.expires_at,
                    # What is not committed has just been written.
                    changed=committed.get(row.path, (now, ""))[0],
                    was_read=row.path in reads,
                    broken=[_written(link) for link in broken.get(row.path, ())],
                    flags=_flags(row.path, said),
                )
                for row in rows
            ),
            now,
            contradictions,
        )
        return findings, compared

    def run(self, project: Project) -> Report:
        """Lint a project and bring its report page up to date; without warnings none is begun.

        A report that somebody edited, pinned or deleted is left alone.

        Raises:
            MergeUnfinishedError, UnfinishedOperationError: nothing may be written now.
            StorageError: the page could not be written.
        """
        findings, compared = self._look(project)
        warnings = sum(each.is_warning for each in findings)
        with self._stores.wiki.lock:
            # It may have been renamed, moved or purged meanwhile.
            project = self._projects.get(project.id)
            is_there = self._stores.wiki.read(project, REPORT) is not None
            if (not warnings and not is_there) or self._pages.is_taken(project, REPORT):
                return Report(findings, "")
            self._stores.wiki.git.check_free()
            subject = f"lint {project.label}: {warnings} warning{'' if warnings == 1 else 's'}"
            self._pages.keep(project, [report_page(findings, compared)], subject=subject, author=COMMITTER)
            return Report(findings, REPORT)

    def _broken(self, project: Project) -> dict[str, list[Link]]:
        """Give the links to other projects that lead to no page, by the page that they stand in."""
        broken: dict[str, list[Link]] = {}
        pages = self._stores.pages
        for way in pages.ways_out(project.id):
            target = self._projects.linked(project, way.workspace, way.project)
            for path, to_path in pages.unresolved_by(way, target.id if target else None):
                broken.setdefault(path, []).append(Link(way.workspace, way.project, to_path))
        return broken


def _flags(path: str, said: Sequence[Said]) -> list[Flag]:
    against = [each for each in said if each.path == path and each.signal in FLAGS]
    counts = Counter(each.signal for each in against)
    reasons: dict[str, str] = {}
    for each in against:
        # The newest comes first, and may have given none.
        reasons[each.signal] = reasons.get(each.signal) or each.reason
    return [Flag(signal, count, reasons[signal]) for signal, count in counts.items()]


def _written(link: Link) -> str:
    scope = f"{link.workspace}/{link.project}" if link.workspace else link.project
    return f"{scope}:{link.path}"
