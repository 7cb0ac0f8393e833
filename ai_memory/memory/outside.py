"""Outside: what people, editors and `git pull` do to the wiki while it is ours too.

A file that changes is read again at once. Twice a minute every file is compared with the index, what was edited is
committed as such, and a page whose file is missing is taken for deleted when it was missing before, and not too many
are.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from ai_memory.memory.indexing import Indexing, Progress, Walk
from ai_memory.memory.pages import Pages, breaker_trips
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.store.page_index import place_of
from ai_memory.store.wiki import MANIFEST

#: An edit is committed when the file was quiet for so long: an editor saves more than once.
_QUIET = timedelta(seconds=30)


class Outside:
    """Changes of the wiki that did not come through this program."""

    def __init__(self, stores: Stores, projects: Projects, indexing: Indexing, pages: Pages) -> None:
        self._stores = stores
        self._projects = projects
        self._indexing = indexing
        self._pages = pages
        self._manifests = self._manifest_times()
        #: Pages that were missing at the last pass, by project.
        self._missing: dict[UUID, set[str]] = {}
        #: Pages that are missing and too many to be taken for deleted, by project.
        self.suspicious: dict[UUID, list[str]] = {}

    def changed(self, files: Iterable[Path]) -> list[str]:
        """Read files that something has changed; gives the pages whose content is new."""
        by_project: dict[UUID, list[str]] = {}
        manifest = False
        for file in files:
            name = file.relative_to(self._stores.wiki.root).as_posix()
            manifest = manifest or file.name == MANIFEST
            if place := place_of(name):
                by_project.setdefault(UUID(place[0]), []).append(place[1])
        changed = []
        with self._stores.wiki.lock:
            if self._stores.wiki.away():
                return []
            if manifest:
                self._reload()
            for project_id, paths in by_project.items():
                if project := self._projects.known(project_id):
                    changed += self._indexing.files(project, paths)
        return changed

    def reconcile(self, progress: Progress = lambda *_: None) -> Walk:
        """Compare everything with the index, and put right what differs; what cannot be is counted and passed over."""
        telling, count = self._indexing.telling, 0
        with self._stores.wiki.lock:
            if self._stores.wiki.away():
                return Walk()
            before = {project.id for project in self._projects.all()}
            self._reload()
            is_new = any(project.id not in before for project in self._projects.all())
            with telling():
                count = self._indexing.versions()
            try:
                found = self._indexing.walk(progress)
            finally:
                # Behind the walk, which has read the newest version of most pages then.
                with telling():
                    self._indexing.former_texts(newest=None if is_new else count)
            # What is there in the middle of somebody's merge is not what will be.
            if not self._stores.wiki.git.unfinished():
                for project in self._projects.all():
                    with telling():
                        if unfinished := found.unfinished.get(project.id):
                            self._pages.finish_delete(project, unfinished)
                        self._pages.commit_outside(project, before=self._stores.clock() - _QUIET)
                self._settle_missing(found)
            return found

    def _settle_missing(self, found: Walk) -> None:
        self.suspicious = {}
        for project_id, paths in found.missing.items():
            project = self._projects.known(project_id)
            if project is None:
                continue
            if breaker_trips(len(paths), found.known[project_id]):
                self.suspicious[project_id] = paths
                continue
            again = [path for path in paths if path in self._missing.get(project_id, ())]
            if again:
                with self._indexing.telling():
                    self._pages.accept_missing(project, again)
        self._missing = {project_id: set(paths) for project_id, paths in found.missing.items()}

    def _reload(self) -> None:
        times = self._manifest_times()
        if times != self._manifests:
            self._manifests = times
            self._projects.reload()

    def _manifest_times(self) -> dict[Path, int]:
        files = [*self._stores.wiki.root.glob(f"*/{MANIFEST}"), *self._stores.wiki.root.glob(f"*/*/{MANIFEST}")]
        return {file: file.stat().st_mtime_ns for file in files}
