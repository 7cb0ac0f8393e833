"""Accounts: users that were made here, the tokens of all users of packets, and devices that ask for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ai_memory.store.sqlite import Database, marks, micros, moment


@dataclass(frozen=True, slots=True)
class User:
    """A user that was made here: id, name to show, and address, "" where nobody said one."""

    id: str
    display: str
    email: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was issued: its SHA-256 in hexadecimal, whose it is, what it was issued for, and when."""

    hash: str
    user: str
    label: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Grant:
    """A device that asks for a token.

    Attributes:
        client_id, scope: as the device says them.
        state: "waiting", "approved" or "denied".
        user: who approved it, "" before.
        expires_at: from then on it gets none.
        interval: seconds between two of its questions.
        asked_at: when it last asked, None before the first time.
    """

    client_id: str
    scope: str
    state: str
    user: str
    expires_at: datetime
    interval: int
    asked_at: datetime | None


class AccountRows:
    """The tables `users`, `tokens` and `device_grants` of `db/state.db`. Codes and tokens come here as digests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Users and tokens

    def add_user(self, user: User, at: datetime) -> None:
        """Add a user."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO users (id, display, email, created) VALUES (?, ?, ?, ?)",
                (user.id, user.display, user.email or None, micros(at)),
            )

    def users(self, ids: Sequence[str]) -> dict[str, User]:
        """Find users by their ids."""
        rows = self._database.all(f"SELECT id, display, email FROM users WHERE id IN ({marks(len(ids))})", ids)  # noqa: S608 - marks
        return {id_: User(id_, display, email or "") for id_, display, email in rows}

    def user_of_email(self, email: str) -> str:
        """Find the user of an address, "" for none."""
        rows = self._database.all("SELECT id FROM users WHERE email = ?", (email,))
        return str(rows[0][0]) if rows else ""

    def add_token(self, token: Token) -> None:
        """Add a token."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO tokens (hash, user, label, created) VALUES (?, ?, ?, ?)",
                (token.hash, token.user, token.label, micros(token.created_at)),
            )

    def user_of(self, digest: str) -> str:
        """Find whose token has a digest, "" for nobody's."""
        rows = self._database.all("SELECT user FROM tokens WHERE hash = ?", (digest,))
        return str(rows[0][0]) if rows else ""

    def tokens(self) -> list[Token]:
        """List all tokens, the oldest first."""
        rows = self._database.all("SELECT hash, user, label, created FROM tokens ORDER BY created, hash")
        return [Token(digest, user, label, moment(created)) for digest, user, label, created in rows]

    def drop_token(self, digest: str) -> None:
        """Take a token away."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM tokens WHERE hash = ?", (digest,))

    # Devices

    def begin(self, device: str, code: str, grant: Grant, *, at: datetime, kept: timedelta, most: int) -> bool:
        """Note that a device asks; tells whether it may: no more than so many ask at once.

        Args:
            device, code: digests of its code, and of the one that its user types.
            grant: what it asks for.
            at: now.
            kept: so long after its end it is known that there was one.
            most: how many may ask at once.
        """
        with self._database.writing() as connection:
            connection.execute("DELETE FROM device_grants WHERE expires < ?", (micros(at - kept),))
            waiting = connection.execute(
                "SELECT count(*) FROM device_grants WHERE expires > ?", (micros(at),)
            ).fetchall()
            if int(str(waiting[0][0])) >= most:
                return False
            connection.execute(
                "INSERT INTO device_grants (device, code, client, access, expires, interval) VALUES (?, ?, ?, ?, ?, ?)",
                (device, code, grant.client_id, grant.scope, micros(grant.expires_at), grant.interval),
            )
            return True

    def grant(self, *, device: str = "", code: str = "") -> Grant | None:
        """Find what a device asked for, by the digest of its code or of the one that its user types."""
        rows = self._database.all(
            "SELECT client, access, state, user, expires, interval, asked FROM device_grants "
            "WHERE device = ? OR code = ?",
            (device, code),
        )
        return _grant(rows[0]) if rows else None

    def settle(self, code: str, state: str, user: str, at: datetime) -> bool:
        """Approve or deny what a device waits for; tells whether one did."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE device_grants SET state = ?, user = ? WHERE code = ? AND state = 'waiting' AND expires > ?",
                (state, user, code, micros(at)),
            )
            return connection.changes() > 0

    def asked(self, device: str, at: datetime, *, slower: timedelta) -> None:
        """Note that a device asked, and how much longer it has to wait from now on."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE device_grants SET asked = ?, interval = interval + ? WHERE device = ?",
                (micros(at), int(slower.total_seconds()), device),
            )

    def take(self, device: str) -> Grant | None:
        """Take away what a device asked for, so that nobody gets it twice; None when somebody has."""
        with self._database.writing() as connection:
            rows = connection.execute(
                "DELETE FROM device_grants WHERE device = ? "
                "RETURNING client, access, state, user, expires, interval, asked",
                (device,),
            ).fetchall()
        return _grant(rows[0]) if rows else None


def _grant(row: Sequence[Any]) -> Grant:
    client, scope, state, user, expires, interval, asked = row
    return Grant(client, scope, state, user, moment(expires), interval, moment(asked) if asked else None)
