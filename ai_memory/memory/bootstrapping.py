"""Bootstrap: a project's first pages, written by a model from what its repository says of itself.

Each answer is kept as soon as it came: it is paid for, and whoever begins again goes on behind it. Pages appear all at
once, when the last answer is there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ai_memory.capture.scope import New
from ai_memory.compile.bootstrap import (
    FOLDERS,
    MANIFEST,
    MARK,
    Drafted,
    ask_of,
    manifest,
    next_decision,
    page_text,
    read,
)
from ai_memory.compile.drafts import Refusal
from ai_memory.compile.sources import Plan, Source, one_line, planned
from ai_memory.errors import AiMemoryError, BadRequestError, ConflictError, TooLargeError
from ai_memory.llm.asking import Answer, Ask, ModelError
from ai_memory.memory.pages import Pages, Writer
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.event import Scrubbed
from ai_memory.model.page import front_matter, is_sealed, sealed
from ai_memory.model.scope import Project, Routing

#: Failures that are the answer's own: the other questions are asked all the same.
_FATES = frozenset({"refused", "truncated", "unparsable"})
#: Tells how many of so many answers are there, and how many pages they made.
Progress = Callable[[int, int, int], None]


class AlreadyBootstrappedError(BadRequestError):
    """The project was bootstrapped before."""

    status = 422


class UnansweredError(AiMemoryError):
    """A question of a bootstrap got no answer; those before it are kept."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class NoSourcesError(BadRequestError):
    """The repository says nothing of itself."""

    status = 422


@dataclass(frozen=True, slots=True)
class Options:
    """How a bootstrap goes.

    Attributes:
        max_input_tokens, chunk_input_tokens: of all questions, and of one; 0 asks once.
        collected: how many sources there were, where some were left out already.
        force: also where it was done before.
        dry_run: ask nothing and write nothing.
    """

    max_input_tokens: int
    chunk_input_tokens: int
    collected: int | None = None
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a bootstrap did, or would do.

    Attributes:
        plan: what was sent.
        project: where it wrote; None where the project is not there yet.
        pages: paths that were written, the manifest first.
        refused: pages of the answers that were not kept, and why.
        rationale: of the answers.
        resumed: how many answers were there already.
        dry_run: whether it only looked.
    """

    plan: Plan
    project: Project | None
    pages: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    rationale: str = ""
    resumed: int = 0
    dry_run: bool = False

    def as_json(self) -> dict[str, object]:
        """Give it as the wire has it."""
        return {
            **self.plan.as_json(),
            "pages_written": list(self.pages),
            "pages_refused": [asdict(each) for each in self.refused],
            "rationale": self.rationale,
            "dry_run": self.dry_run,
            "llm_chunks_resumed": self.resumed,
            "scope": self.project.label if self.project else None,
        }


class Bootstrapping:
    """Bootstraps of all projects, one at a time."""

    def __init__(self, stores: Stores, projects: Projects, pages: Pages) -> None:
        self._stores = stores
        self._projects = projects
        self._pages = pages
        self._running = threading.Lock()

    def run(
        self,
        routing: Routing,
        sources: Sequence[Source],
        options: Options,
        writer: Writer,
        ask: Callable[[Ask], Answer],
        progress: Progress,
    ) -> Outcome:
        """Write the pages of a project, which is made where it is not there yet.

        Args:
            routing: where the repository is.
            sources: what it says of itself, the best of each kind first.
            options: see there.
            writer: who asked for it.
            ask: asks a model.
            progress: called before the first question, and after each answer.

        Raises:
            ConflictError: one is under way.
            NoSourcesError, AlreadyBootstrappedError, BadRequestError: see there.
            UnansweredError: see there.
            StorageError: it could not be written.
        """
        clean = [self._clean(source) for source in sources]
        plan = planned(
            clean,
            max_input_tokens=options.max_input_tokens,
            chunk_input_tokens=options.chunk_input_tokens,
            collected=options.collected,
        )
        if not plan.chunks:
            raise NoSourcesError(
                f"none of {plan.collected:,} sources fits into max_input_tokens: raise it"
                if plan.collected
                else "there is nothing to make pages of: no rules, README, documents, history or headers"
            )
        if options.dry_run:
            return Outcome(plan, self._free(routing, force=options.force), dry_run=True)
        if not self._running.acquire(blocking=False):
            raise ConflictError("a bootstrap is under way: wait until it is done")
        try:
            self._free(routing, force=options.force)
            self._stores.wiki.git.check_free()
            return self._written(self._projects.ensure(routing).project, plan, writer, ask, progress)
        finally:
            self._running.release()

    def _free(self, routing: Routing, *, force: bool) -> Project | None:
        """Find the project, None where it is not there yet; one that was bootstrapped before is refused."""
        found = self._projects.look_up(routing)
        project = None if isinstance(found, New) else found.project
        if project and not force and self._stores.wiki.has(project, MANIFEST):
            raise AlreadyBootstrappedError(
                f"{project.label} was bootstrapped before, {MANIFEST} says when: --force does it again"
            )
        return project

    def _written(
        self, project: Project, plan: Plan, writer: Writer, ask: Callable[[Ask], Answer], progress: Progress
    ) -> Outcome:
        answers = self._stores.state.bootstraps
        kept = answers.of(project.id, plan.fingerprint)
        others, _ = self._there(project)
        pages: list[Drafted] = []
        refused: list[Refusal] = []
        rationales: list[str] = []
        failed = 0
        total = len(plan.chunks)
        progress(len(kept), total, 0)
        for number, chunk in enumerate(plan.chunks):
            made = [page.path for page in pages]
            decision = next_decision([*others, *made])
            if number < len(kept):
                came = kept[number]
            else:
                question = ask_of(chunk, made, decision, whole=total == 1)
                # It may repeat what nobody has recognised.
                came = self._stores.scrubber.scrub_all(_asked(ask, question, number, total))
                answers.keep(project.id, plan.fingerprint, number, came)
            if "failed" in came:
                failed += 1
                refused.append(Refusal(f"question {number + 1} of {total}", came["failed"]))
            part = read(came.get("answer"), chunk, [*others, *made], decision)
            pages += part.pages
            refused += part.refused
            rationales.append(part.rationale)
            progress(max(number + 1, len(kept)), total, len(pages))
        if failed == total:
            answers.forget(project.id)
            raise UnansweredError(f"no question got an answer that can be used: {refused[0].why}", 502)
        paths = self._save(project, plan, pages, refused, rationales, writer)
        answers.forget(project.id)
        rationale = "\n\n".join(filter(None, rationales))
        return Outcome(plan, project, tuple(paths), tuple(refused), rationale, len(kept))

    def _save(
        self,
        project: Project,
        plan: Plan,
        pages: Sequence[Drafted],
        refused: list[Refusal],
        rationales: Sequence[str],
        writer: Writer,
    ) -> list[str]:
        """Write the pages and the manifest in one commit; gives their paths.

        What a former bootstrap wrote and nobody has changed goes, unless there is nothing to take its place.
        """
        now, scrub = self._stores.clock(), self._stores.scrubber.scrub
        texts: dict[str, Scrubbed] = {}
        kept: list[Drafted] = []
        with self._stores.wiki.lock:
            # A page may have come since the questions were asked.
            others, former = self._there(project)
            for page in pages:
                text = Scrubbed(sealed(scrub(page_text(page, now))))
                if why := self._refusal(project, page.path, text, others):
                    refused.append(Refusal(page.path, why))
                else:
                    kept.append(page)
                    texts[page.path] = text
            about = Scrubbed(sealed(scrub(manifest(plan, kept, refused, rationales, now))))
            subject = (
                f"bootstrap: {len(plan.chunks)} LLM chunk(s), ingested {plan.sent} sources, wrote {len(kept)} pages"
            )
            replaced = [path for path in former if path not in texts] if kept else []
            if (there := self._stores.wiki.read(project, MANIFEST)) and not is_sealed(there):
                refused.append(Refusal(MANIFEST, "somebody has changed it, so it stays as it is"))
            else:
                texts = {MANIFEST: about, **texts}
            self._pages.write_several(project, texts, writer, moved=replaced, subject=subject)
        return list(texts)

    def _there(self, project: Project) -> tuple[list[str], list[str]]:
        """List the pages that no answer may replace, and those that a bootstrap wrote and nobody has changed."""
        wiki = self._stores.wiki
        others: list[str] = []
        former: list[str] = []
        for row in self._stores.pages.pages(project.id):
            ours = row.sealed and row.path.partition("/")[0] in FOLDERS
            if ours and MARK in front_matter(wiki.read(project, row.path) or ""):
                former.append(row.path)
            elif row.path != MANIFEST:
                others.append(row.path)
        return others, former

    def _refusal(self, project: Project, path: str, text: str, others: Sequence[str]) -> str:
        if path in others or self._stores.pages.colliding(project.id, path):
            return "there is such a page already"
        if self._pages.is_taken(project, path):
            return "it was deleted, or somebody has changed it"
        try:
            self._pages.check_size(path, text)
        except TooLargeError as error:
            return str(error)
        return ""

    def _clean(self, source: Source) -> Source:
        scrub = self._stores.scrubber.scrub
        return Source(source.kind, one_line(scrub(source.label)), scrub(source.text))


def _asked(ask: Callable[[Ask], Answer], question: Ask, number: int, total: int) -> dict[str, Any]:
    """Ask; gives the `answer`, or why it `failed` where the same question would have the same fate again."""
    try:
        return {"answer": ask(question).value}
    except ModelError as error:
        if error.kind in _FATES:
            return {"failed": str(error)}
        kept = (
            f"; the answers to {number} before it are kept, so the same again goes on with this one" if number else ""
        )
        raise UnansweredError(f"question {number + 1} of {total} got no answer{kept}: {error}", error.status) from error
