"""Feedback: what readers say of a page, and how much it matters since. It holds for the text that they have read."""

from __future__ import annotations

from ai_memory.compile.lint import FLAGS
from ai_memory.errors import BadRequestError, NotFoundError, TooLargeError
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.page import page_path
from ai_memory.model.scope import Project
from ai_memory.store.feedback import Said
from ai_memory.store.page_index import MISSING

SIGNALS = ("helpful", "not_helpful", *FLAGS)
REASON_LIMIT = 500
_LEAST, _MOST, _STEP = 0.25, 2.0, 0.25


class Feedback:
    """What readers say of the pages of all projects."""

    def __init__(self, stores: Stores, projects: Projects) -> None:
        self._stores = stores
        self._projects = projects

    def give(self, project: Project, path: str, signal: str, reason: str = "") -> Said:
        """Keep what a reader says of a page as it is now; a rewritten page begins anew.

        Args:
            project, path: the page.
            signal: one of SIGNALS. The first two move the page's salience by a step, the others put it to the least
                and make lint name the page until it is rewritten.
            reason: why, at most REASON_LIMIT characters; it becomes one line.

        Raises:
            BadRequestError: there is no such signal, or the path is none.
            NotFoundError: there is no such page.
            TooLargeError: the reason is too long.
            StorageError: it could not be kept.
        """
        if signal not in SIGNALS:
            raise BadRequestError(f"there is no signal {signal!r}: say one of {', '.join(SIGNALS)}")
        reason = " ".join(reason.split())
        if len(reason) > REASON_LIMIT:
            raise TooLargeError(f"a reason has at most {REASON_LIMIT} characters, this has {len(reason)}: shorten it")
        with self._stores.wiki.lock:
            # A page that moves or is purged just now takes what was said of it along.
            project = self._projects.get(project.id)
            row = self._stores.pages.page(project.id, page_path(path))
            if row is None or row.size == MISSING:
                raise NotFoundError(f"{project.label} has no page {path}: search for it, and name it by its path")
            feedback = self._stores.state.feedback
            before = feedback.saliences([(project.id, path, row.blob)]).get((project.id, path), 1.0)
            said = Said(
                path=path,
                blob=row.blob,
                at=self._stores.clock(),
                signal=signal,
                reason=self._stores.scrubber.scrub(reason),
                salience=_after(signal, before),
            )
            feedback.add(project.id, said)
            return said


def _after(signal: str, salience: float) -> float:
    if signal in FLAGS:
        return _LEAST
    step = _STEP if signal == "helpful" else -_STEP
    return max(_LEAST, min(_MOST, salience + step))
