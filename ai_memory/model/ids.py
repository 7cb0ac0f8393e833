"""Identifiers: UUIDs in time order for new rows, and the stable UUID of an agent's own session id."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import NAMESPACE_OID, UUID, uuid5

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id(at: datetime) -> UUID:
    """Mint a UUID version 7 (RFC 9562, section 5.7): milliseconds of `at`, then 74 random bits."""
    milliseconds = int(at.timestamp() * 1000) & ((1 << 48) - 1)
    random = int.from_bytes(os.urandom(10), "big")
    value = milliseconds << 80 | 7 << 76 | (random >> 68 & 0xFFF) << 64 | 0b10 << 62 | random & ((1 << 62) - 1)
    return UUID(int=value)


def ulid(at: datetime, low: int | None = None) -> str:
    """Mint a ULID: milliseconds of `at`, then 80 bits (`low`, else random ones), as 26 digits and capital letters."""
    milliseconds = int(at.timestamp() * 1000) & ((1 << 48) - 1)
    value = milliseconds << 80 | (int.from_bytes(os.urandom(10), "big") if low is None else low)
    return "".join(_CROCKFORD[value >> 5 * place & 31] for place in reversed(range(26)))


def minted_at(id_: UUID) -> datetime:
    """Read from a UUID version 7 when it was minted, to the millisecond."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=id_.int >> 80)


@lru_cache(1024)
def session_uuid(raw: str) -> UUID:
    """Give an agent's session id as a UUID: itself when it is one, else version 5 under the OID namespace."""
    try:
        return UUID(raw)
    except ValueError:
        # Half a surrogate pair, which JSON can hold, has no bytes.
        return uuid5(NAMESPACE_OID, raw.encode("utf-8", "replace").decode())


@lru_cache(16_384)
def stored_id(text: str) -> UUID:
    """Read a UUID as the stores write it. A search reads the same thousand again and again."""
    return UUID(text)
