"""Contradictions: a model compares the pages of a project that may be about the same thing, when somebody asks for it.

What it found is a part of lint, without asking again, as long as both pages stay as they were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any

from ai_memory.compile.contradictions import PURPOSE, TIERS, Statement, asks, likely, read
from ai_memory.compile.drafts import Refusal
from ai_memory.compile.lint import Finding
from ai_memory.memory.indexing import read_page as page_of
from ai_memory.memory.jobs import Jobs, Work
from ai_memory.memory.models import Models
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.page import MACHINERY
from ai_memory.model.scope import Project
from ai_memory.store.jobs import Job
from ai_memory.store.page_index import MISSING, PageRow

_WHAT = "a comparison of pages"
#: So many pages are compared, those that are read most.
_PAGES = 60
#: Pages that tell what happened, or are no statement at all.


class Contradictions:
    """Comparisons of the pages of all projects."""

    def __init__(self, stores: Stores, projects: Projects, models: Models, jobs: Jobs) -> None:
        self._stores = stores
        self._projects = projects
        self._models = models
        self._jobs = jobs
        jobs.doers[PURPOSE] = self._do

    def begin(self, project: Project) -> Job:
        """Have the pages of a project compared because somebody asks for it.

        Raises:
            ModelError: there is no model.
        """
        self._models.sure(_WHAT)
        return self._jobs.add(PURPOSE, "", project.id, generation=0, payload={}, asked=True)

    def _do(self, work: Work) -> Mapping[str, Any]:
        with work.writing():
            project = self._projects.get(work.job.project_id)
            rows = self._rows(project)
            pages = [each for row in rows if (each := self._statement(project, row))]
            questions = asks(likely(pages), self._models.budget)
        found: list[Finding] = []
        refused: list[Refusal] = []
        for ask, pairs in questions:
            # By what it asks: a page that changed between two attempts makes it another question.
            name = f"pairs {hashlib.sha256(ask.user.encode()).hexdigest()[:16]}"
            value = work.step(name, partial(self._models.answer, _WHAT, ask, work.cancelled))
            findings, others = read(value, pairs)
            found += findings
            refused += others
        blobs = {row.path: row.blob for row in rows}
        with work.writing():
            return {
                "pairs": sum(len(pairs) for _, pairs in questions),
                "findings": [
                    {**asdict(each), "blobs": [blobs[path] for path in each.pages]}
                    for each in found
                    # One that was changed meanwhile may be purged.
                    if self._blobs(project, each.pages) == [blobs[path] for path in each.pages]
                ],
                "refused": [asdict(each) for each in refused],
            }

    def _rows(self, project: Project) -> list[PageRow]:
        reads = self._stores.state.reads.of(project.id)
        rows = [
            row
            for row in self._stores.pages.pages(project.id)
            if row.tier in TIERS and row.size != MISSING and not row.conflicted and not row.path.startswith(MACHINERY)
        ]
        read_most = sorted(rows, key=lambda row: (-(reads[row.path].count if row.path in reads else 0), -row.mtime))
        return read_most[:_PAGES]

    def _statement(self, project: Project, row: PageRow) -> Statement | None:
        """Give what a page states, None for one that another one took the place of."""
        text = self._stores.wiki.read(project, row.path) or ""
        page, _ = page_of(row.path, text.encode(), self._stores.scrubber.scrub)
        return None if page.front.get("superseded_by") else Statement(row.path, page.title, row.tier, page.body)

    def _blobs(self, project: Project, paths: Sequence[str]) -> list[str]:
        return [row.blob if (row := self._stores.pages.page(project.id, path)) else "" for path in paths]


def standing(stores: Stores, project: Project, blobs: Mapping[str, str]) -> tuple[list[Finding], datetime | None]:
    """Give what a model found last in pages that have not changed since, and when that was, None for never.

    Args:
        stores, project: where.
        blobs: git's ids of the present contents of its pages.
    """
    for job in stores.state.jobs.newest(project.id, PURPOSE, ""):
        if job.state == "done" and "findings" in job.outcome:
            kept = [
                Finding(**{key: value for key, value in each.items() if key != "blobs"})
                for each in job.outcome["findings"]
                if [blobs.get(path) for path in each["pages"]] == each["blobs"]
            ]
            return kept, job.updated_at
    return [], None
