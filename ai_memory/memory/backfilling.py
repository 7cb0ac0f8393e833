"""Backfill: what is here of sessions that agents had before anybody recorded them; they come in like other events."""

from __future__ import annotations

from typing import Literal

from ai_memory.memory.stores import Stores
from ai_memory.model.ids import session_uuid

Standing = Literal["new", "begun", "known"]


def standing(stores: Stores, native: str, first: str, last: str) -> Standing:
    """Say what is here of a session.

    Args:
        stores: where.
        native: the agent's id of it.
        first, last: the idempotency keys that a backfill gives to its first and last event.

    Returns:
        "new" for one that nobody knows; "begun" when a backfill of it was cut off, and its keys are still remembered;
        "known" when the hooks recorded it, or a backfill has brought all of it.
    """
    homes = [part.project_id for part in stores.index.sessions_of(session_uuid(native))]
    if not homes:
        return "new"
    if any(stores.index.knows_key(home, last) for home in homes):
        return "known"
    return "begun" if any(stores.index.knows_key(home, first) for home in homes) else "known"
