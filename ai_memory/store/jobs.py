"""Jobs that ask a model: durable, so that what somebody was promised is done once, whatever comes between."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import apsw

from ai_memory.store.sqlite import Database, marks, micros, moment

#: "queued" waits, "leased" is at work; the others are over: "failed" and "poison" until somebody tries again.
JobState = Literal["queued", "leased", "done", "failed", "poison", "dropped"]
STATES: tuple[JobState, ...] = ("queued", "leased", "done", "failed", "poison", "dropped")

_COLUMNS = (
    "id, kind, key, project, session, generation, payload, asked, state, attempts, crashes, not_before, lease_until, "
    "error, outcome, made_at, updated_at"
)


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work.

    Attributes:
        id: of the job.
        kind: who knows how to do it.
        key: what it is about; of a project, kind and key at most one job waits.
        project_id, session_id: what it belongs to and goes with; a session is None where it is about none.
        generation: how much there was of it; a job of a higher one does more.
        payload: what is to be done, a JSON object.
        asked: somebody waits for it: it comes before those that nobody asked for.
        state: see `JobState`.
        attempts: how often it was begun and ended by itself.
        crashes: how often it was begun, and the process or the program broke down.
        not_before: it rests until then.
        lease_until: who has it is taken for dead after that.
        error: why it did not work out at the last time, or "".
        outcome: what was done, a JSON object.
        made_at, updated_at: when.
    """

    id: UUID
    kind: str
    key: str
    project_id: UUID
    session_id: UUID | None
    generation: int
    payload: Mapping[str, Any]
    asked: bool
    made_at: datetime
    updated_at: datetime
    not_before: datetime
    lease_until: datetime
    state: JobState = "queued"
    attempts: int = 0
    crashes: int = 0
    error: str = ""
    outcome: Mapping[str, Any] = field(default_factory=dict)


class JobRows:
    """The tables `model_jobs` and `job_answers` of `db/state.db`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, job: Job) -> None:
        """Keep a job as it is now; of one that is done or dropped the answers go."""
        with self._database.writing() as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO model_jobs ({_COLUMNS}) VALUES ({marks(17)})",  # noqa: S608 - constant text
                (
                    *(str(job.id), job.kind, job.key, str(job.project_id)),
                    *(str(job.session_id or ""), job.generation, json.dumps(job.payload), int(job.asked)),
                    *(job.state, job.attempts, job.crashes, micros(job.not_before), micros(job.lease_until)),
                    *(job.error, json.dumps(job.outcome), micros(job.made_at), micros(job.updated_at)),
                ),
            )
            if job.state in ("done", "dropped"):
                connection.execute("DELETE FROM job_answers WHERE job = ?", (str(job.id),))

    def job(self, job_id: UUID) -> Job | None:
        """Find a job."""
        found = self._read("id = ?", (str(job_id),))
        return found[0] if found else None

    def newest(self, project_id: UUID, kind: str, key: str) -> list[Job]:
        """List the jobs about one thing, the newest first."""
        return self._read(
            "project = ? AND kind = ? AND key = ? ORDER BY made_at DESC, id DESC", (str(project_id), kind, key)
        )

    def waiting(self) -> list[Job]:
        """List the jobs that are queued or leased, in the order in which they are to be done."""
        return self._read("state IN ('queued', 'leased') ORDER BY asked DESC, made_at, id", ())

    def latest(self, states: Sequence[str], limit: int) -> list[Job]:
        """List the jobs in some states, the last changed first."""
        return self._read(
            f"state IN ({marks(len(states))}) ORDER BY updated_at DESC, id DESC LIMIT ?", (*states, limit)
        )

    def counts(self) -> dict[str, int]:
        """Count the jobs by state."""
        rows = self._database.all("SELECT state, count(*) FROM model_jobs GROUP BY state ORDER BY state")
        return {str(state): int(count) for state, count in rows}

    # Answers

    def keep(self, job_id: UUID, name: str, answer: Any) -> None:
        """Keep an answer, a JSON value without secrets, that a job has paid for."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO job_answers (job, name, answer) VALUES (?, ?, ?)",
                (str(job_id), name, json.dumps(answer)),
            )

    def answer(self, job_id: UUID, name: str) -> list[Any]:
        """Give the answer of that name in a list, [] where there is none."""
        rows = self._database.all("SELECT answer FROM job_answers WHERE job = ? AND name = ?", (str(job_id), name))
        return [json.loads(answer) for (answer,) in rows]

    def drop_answers(self, job_id: UUID) -> None:
        """Drop the answers of a job."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM job_answers WHERE job = ?", (str(job_id),))

    # What goes and what moves

    def forget(self, project_id: UUID, session_id: UUID | None = None) -> None:
        """Drop every trace of the jobs of a project, or of one of its sessions."""
        where, values = _of(project_id, session_id)
        with self._database.writing() as connection:
            _remove(connection, where, values)

    def forget_said(self, project_id: UUID) -> None:
        """Drop what models said in the jobs of a project: it may quote what is purged. Answers are asked for again."""
        with self._database.writing() as connection:
            connection.execute(
                "DELETE FROM job_answers WHERE job IN (SELECT id FROM model_jobs WHERE project = ?)", (str(project_id),)
            )
            connection.execute(
                "UPDATE model_jobs SET outcome = '{}', error = iif(error = '', '', 'its reason was purged') "
                "WHERE project = ?",
                (str(project_id),),
            )

    def move(self, project_id: UUID, target_id: UUID, session_id: UUID | None = None) -> None:
        """Let the jobs of a project, or of one of its sessions, go on in another project; done ones are dropped."""
        where, values = _of(project_id, session_id)
        with self._database.writing() as connection:
            _remove(connection, f"{where} AND state IN ('done', 'dropped')", values)
            connection.execute(
                f"UPDATE OR REPLACE model_jobs SET project = ? WHERE {where}",  # noqa: S608 - constant text
                (str(target_id), *values),
            )

    def forget_over(self, before: datetime) -> None:
        """Drop the jobs that are over since before a time."""
        with self._database.writing() as connection:
            _remove(connection, "state NOT IN ('queued', 'leased') AND updated_at < ?", (micros(before),))

    def _read(self, where: str, values: tuple[Any, ...]) -> list[Job]:
        rows = self._database.all(f"SELECT {_COLUMNS} FROM model_jobs WHERE {where}", values)  # noqa: S608 - constant text
        return [_job(row) for row in rows]


def _of(project_id: UUID, session_id: UUID | None) -> tuple[str, tuple[str, ...]]:
    if session_id is None:
        return "project = ?", (str(project_id),)
    return "project = ? AND session = ?", (str(project_id), str(session_id))


def _remove(connection: apsw.Connection, where: str, values: tuple[Any, ...]) -> None:
    connection.execute(f"DELETE FROM model_jobs WHERE {where}", values)  # noqa: S608 - constant text
    connection.execute("DELETE FROM job_answers WHERE job NOT IN (SELECT id FROM model_jobs)")


def _job(row: Sequence[Any]) -> Job:
    (
        id_,
        kind,
        key,
        project,
        session,
        generation,
        payload,
        asked,
        state,
        attempts,
        crashes,
        not_before,
        lease_until,
        error,
        outcome,
        made_at,
        updated_at,
    ) = row
    return Job(
        id=UUID(id_),
        kind=kind,
        key=key,
        project_id=UUID(project),
        session_id=UUID(session) if session else None,
        generation=generation,
        payload=json.loads(payload),
        asked=bool(asked),
        state=state,
        attempts=attempts,
        crashes=crashes,
        not_before=moment(not_before),
        lease_until=moment(lease_until),
        error=error,
        outcome=json.loads(outcome),
        made_at=moment(made_at),
        updated_at=moment(updated_at),
    )
