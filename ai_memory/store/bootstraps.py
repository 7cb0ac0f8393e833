"""Answers of a bootstrap that is not finished: durable, because they are paid for."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from ai_memory.store.sqlite import Database


class BootstrapAnswers:
    """The table `bootstrap_answers` of `db/state.db`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, project_id: UUID, fingerprint: str, chunk: int, answer: Any) -> None:
        """Keep the answer to one question; those to questions about other sources of the project go.

        Args:
            project_id: whose bootstrap it is.
            fingerprint: of all its questions.
            chunk: the question's number, from 0 on.
            answer: a JSON value without secrets.
        """
        project = str(project_id)
        with self._database.writing() as connection:
            connection.execute(
                "DELETE FROM bootstrap_answers WHERE project = ? AND fingerprint <> ?", (project, fingerprint)
            )
            connection.execute(
                "INSERT OR REPLACE INTO bootstrap_answers (project, fingerprint, chunk, answer) VALUES (?, ?, ?, ?)",
                (project, fingerprint, chunk, json.dumps(answer)),
            )

    def of(self, project_id: UUID, fingerprint: str) -> list[Any]:
        """List the answers to the first questions, up to the first one that has none."""
        rows = self._database.all(
            "SELECT chunk, answer FROM bootstrap_answers WHERE project = ? AND fingerprint = ? ORDER BY chunk",
            (str(project_id), fingerprint),
        )
        return [json.loads(answer) for number, (chunk, answer) in enumerate(rows) if chunk == number]

    def forget(self, project_id: UUID) -> None:
        """Drop the answers of a project."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM bootstrap_answers WHERE project = ?", (str(project_id),))
