"""Proposals: pages that a model would write, durable until somebody decides, and what was decided."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

from ai_memory.store.sqlite import Database, marks, micros, moment

Status = Literal["pending", "approved", "rejected", "conflict"]
STATUSES: tuple[Status, ...] = ("pending", "approved", "rejected", "conflict")

_COLUMNS = (
    "id, run, project, session, path, title, kind, body, confidence, rationale, evidence, edit_mode, base, staged_at, "
    "status, reason, revision, decided_at"
)


@dataclass(frozen=True, slots=True)
class Staged:
    """A page that waits for a decision, or had one.

    Attributes:
        id, run_id: of the proposal, and of the job that it came of.
        project_id, session_id: what it belongs to and goes with.
        path, title, kind: of the page.
        body: all of the page below its front matter.
        confidence: 0..1.
        rationale: why a later session needs it.
        evidence: the pages (or "session") that it rests on, each with a quotation.
        edit_mode: "full" or "patch".
        base: the digest of the body that it was made for, "" for a new page.
        staged_at: when.
        status: see `Status`; a conflict is one with what the page has become.
        reason: why it was rejected, or cannot be written.
        revision: the commit that wrote it, or "".
        decided_at: when that was.
    """

    id: UUID
    run_id: UUID
    project_id: UUID
    session_id: UUID
    path: str
    title: str
    kind: str
    body: str
    confidence: float
    rationale: str
    evidence: Sequence[tuple[str, str]]
    edit_mode: str
    base: str
    staged_at: datetime
    status: Status = "pending"
    reason: str = ""
    revision: str = ""
    decided_at: datetime | None = None


class ProposalRows:
    """The table `proposals` of `db/state.db`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def stage(self, staged: Staged) -> bool:
        """Keep a proposal, unless it is there; tells whether it is, which another one about the page prevents."""
        with self._database.writing() as connection:
            connection.execute(
                f"INSERT OR IGNORE INTO proposals ({_COLUMNS}) VALUES ({marks(18)})",  # noqa: S608 - constant text
                _values(staged),
            )
            return bool(connection.execute("SELECT 1 FROM proposals WHERE id = ?", (str(staged.id),)).fetchall())

    def settle(self, staged: Staged) -> None:
        """Keep what was decided about a proposal."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE proposals SET status = ?, reason = ?, revision = ?, decided_at = ? WHERE id = ?",
                (
                    *(staged.status, staged.reason, staged.revision),
                    *(micros(staged.decided_at) if staged.decided_at else None, str(staged.id)),
                ),
            )

    def proposal(self, project_id: UUID, proposal_id: UUID) -> Staged | None:
        """Find a proposal of a project."""
        found = self._read("project = ? AND id = ?", (str(project_id), str(proposal_id)))
        return found[0] if found else None

    def latest(self, project_id: UUID, statuses: Sequence[str], limit: int) -> list[Staged]:
        """List proposals of a project in some states, the newest first."""
        return self._read(
            f"project = ? AND status IN ({marks(len(statuses))}) ORDER BY staged_at DESC, id LIMIT ?",
            (str(project_id), *statuses, limit),
        )

    # What goes and what moves

    def forget(self, project_id: UUID, session_id: UUID | None = None) -> None:
        """Drop the proposals of a project, or those of one of its sessions."""
        where, values = _of(project_id, session_id)
        with self._database.writing() as connection:
            connection.execute(f"DELETE FROM proposals WHERE {where}", values)  # noqa: S608 - constant text

    def forget_pages(self, project_id: UUID, paths: Sequence[str]) -> None:
        """Drop the proposals about some pages, and those that quote them."""
        with self._database.writing() as connection:
            connection.execute(
                "DELETE FROM proposals WHERE project = ?1 AND (path IN (SELECT value FROM json_each(?2)) OR EXISTS "
                "(SELECT 1 FROM json_each(evidence) e WHERE e.value ->> 0 IN (SELECT value FROM json_each(?2))))",
                (str(project_id), json.dumps(list(paths))),
            )

    def move(
        self,
        project_id: UUID,
        target_id: UUID,
        session_id: UUID | None = None,
        moved: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Give the proposals of a project, or of one of its sessions, to another project.

        Args:
            project_id, target_id, session_id: from where, to where, and which; None is all.
            moved: pages that have another path there. Of two proposals about one page that of the target stays.
        """
        where, values = _of(project_id, session_id)
        with self._database.writing() as connection:
            for path, new in moved.items():
                if new != path:
                    connection.execute(
                        f"UPDATE OR REPLACE proposals SET path = ? WHERE {where} AND path = ?",  # noqa: S608 - constant text
                        (new, *values, path),
                    )
            connection.execute(
                f"DELETE FROM proposals WHERE {where} AND status = 'pending' AND path IN "  # noqa: S608 - constant text
                "(SELECT path FROM proposals WHERE project = ? AND status = 'pending')",
                (*values, str(target_id)),
            )
            connection.execute(
                f"UPDATE proposals SET project = ? WHERE {where}",  # noqa: S608 - constant text
                (str(target_id), *values),
            )

    def _read(self, where: str, values: tuple[Any, ...]) -> list[Staged]:
        rows = self._database.all(f"SELECT {_COLUMNS} FROM proposals WHERE {where}", values)  # noqa: S608 - constant text
        return [_staged(*row) for row in rows]


def _of(project_id: UUID, session_id: UUID | None) -> tuple[str, tuple[str, ...]]:
    if session_id is None:
        return "project = ?", (str(project_id),)
    return "project = ? AND session = ?", (str(project_id), str(session_id))


def _values(staged: Staged) -> tuple[Any, ...]:
    return (
        *(str(staged.id), str(staged.run_id), str(staged.project_id), str(staged.session_id)),
        *(staged.path, staged.title, staged.kind, staged.body, staged.confidence, staged.rationale),
        *(json.dumps(staged.evidence), staged.edit_mode, staged.base, micros(staged.staged_at)),
        *(staged.status, staged.reason, staged.revision, micros(staged.decided_at) if staged.decided_at else None),
    )


def _staged(id_: str, run: str, project: str, session: str, *rest: Any) -> Staged:
    path, title, kind, body, confidence, rationale, evidence, edit_mode, base, staged_at, *decision = rest
    status, reason, revision, decided_at = decision
    return Staged(
        id=UUID(id_),
        run_id=UUID(run),
        project_id=UUID(project),
        session_id=UUID(session),
        path=path,
        title=title,
        kind=kind,
        body=body,
        confidence=confidence,
        rationale=rationale,
        evidence=[(page, quote) for page, quote in json.loads(evidence)],
        edit_mode=edit_mode,
        base=base,
        staged_at=moment(staged_at),
        status=status,
        reason=reason,
        revision=revision,
        decided_at=None if decided_at is None else moment(decided_at),
    )
