"""What was asked of models that answer questions: durable, because nobody else here knows what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from ai_memory.store.sqlite import Database


@dataclass(frozen=True, slots=True)
class CallSum:
    """Requests of one kind, together.

    Attributes:
        purpose, provider, model, outcome: what they have in common.
        calls: how many.
        tokens_in, tokens_out: as the vendor counted them.
        cost: dollars, of those whose price is known.
        unpriced: how many have none.
    """

    purpose: str
    provider: str
    model: str
    outcome: str
    calls: int
    tokens_in: int
    tokens_out: int
    cost: float
    unpriced: int


class ModelCalls:
    """The table `model_calls` of `db/state.db`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        day: date,
        purpose: str,
        provider: str,
        model: str,
        outcome: str,
        *,
        tokens_in: int,
        tokens_out: int,
        cost: float | None,
    ) -> None:
        """Count one request; a cost of None is not known."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO model_calls VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "calls = calls + 1, tokens_in = tokens_in + excluded.tokens_in, "
                "tokens_out = tokens_out + excluded.tokens_out, cost = cost + excluded.cost, "
                "unpriced = unpriced + excluded.unpriced",
                (
                    *(day.isoformat(), purpose, provider, model, outcome),
                    *(tokens_in, tokens_out, cost or 0.0, int(cost is None)),
                ),
            )

    def since(self, day: date) -> list[CallSum]:
        """Add up the requests from a day on, the most expensive first."""
        rows = self._database.all(
            "SELECT purpose, provider, model, outcome, sum(calls), sum(tokens_in), sum(tokens_out), sum(cost), "
            "sum(unpriced) FROM model_calls WHERE day >= ? GROUP BY 1, 2, 3, 4 ORDER BY 8 DESC, 6 DESC, 1, 2, 3, 4",
            (day.isoformat(),),
        )
        return [CallSum(*row) for row in rows]

    def cost_since(self, day: date) -> float:
        """Give the dollars that were spent from a day on."""
        rows = self._database.all("SELECT total(cost) FROM model_calls WHERE day >= ?", (day.isoformat(),))
        return float(rows[0][0])
