"""What was asked of vendors of models: durable, because nobody else here knows what it costs."""

from __future__ import annotations

from datetime import date

from ai_memory.store.sqlite import Database


class Spend:
    """The table `spend` of `db/state.db`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, day: date, provider: str, model: str, *, requests: int, tokens: int) -> None:
        """Count requests to a model, and the tokens that the vendor counted."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO spend (day, provider, model, requests, tokens) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, tokens = tokens + excluded.tokens",
                (day.isoformat(), provider, model, requests, tokens),
            )

    def since(self, day: date, provider: str, model: str) -> dict[str, int]:
        """Give the requests and tokens of a model from a day on."""
        ((requests, tokens),) = self._database.all(
            "SELECT coalesce(sum(requests), 0), coalesce(sum(tokens), 0) FROM spend "
            "WHERE day >= ? AND provider = ? AND model = ?",
            (day.isoformat(), provider, model),
        )
        return {"requests": int(requests), "tokens": int(tokens)}
