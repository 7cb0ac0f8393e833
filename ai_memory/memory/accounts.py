"""Accounts: the tokens of those who push packets, and devices that are signed in without one (RFC 8628).

A user is a text. The one who runs the server is OWNER; users of `user_tokens.json` have their ids there; all others
are made here. A token is shown once, and only its digest is kept.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from ai_memory.capture.plain import harmless
from ai_memory.errors import BadRequestError, BusyError, ConflictError, NotFoundError
from ai_memory.memory.stores import Stores
from ai_memory.model.ids import ulid
from ai_memory.store.accounts import Grant, Token, User

#: Who runs the server.
OWNER = "owner"

_ALPHABET = string.digits + string.ascii_letters
_TOKEN_SIGNS = 48
#: No vowels, so that no code is a word.
_CODE_SIGNS = "BCDFGHJKLMNPQRSTVWXZ"
_CODE_LENGTH = 8
_DEVICE_BYTES = 32
_DEVICE_TIME = timedelta(seconds=600)
_INTERVAL = 5
_SLOWER = timedelta(seconds=5)
#: A device that asks late hears for so long that its code has expired, not that there was none.
_REMEMBERED = timedelta(hours=1)
#: Anybody may begin: so many devices may wait at once.
_MOST_DEVICES = 1000
_LONGEST_NAME = 200
_SHOWN = 8


class TokenNotFoundError(NotFoundError):
    """Nobody has such a token."""


@dataclass(frozen=True, slots=True)
class DeviceGrant:
    """What a device is told when it begins: its code, the one that its user types, and how long and often it asks."""

    device_code: str
    user_code: str
    expires_in: int
    interval: int


@dataclass(frozen=True, slots=True)
class Device:
    """A device that waits for its user: the code as it is shown, and what it says of itself."""

    user_code: str
    client_id: str
    scope: str


@dataclass(frozen=True, slots=True)
class Polled:
    """What a device gets: a token, or an error word of RFC 8628."""

    token: str = ""
    scope: str = ""
    error: str = ""


class Accounts:
    """Users and their tokens."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._rows = stores.state.accounts

    def user_of(self, token: str) -> str | None:
        """Say whose token this is, None for nobody's."""
        return self._rows.user_of(digest(token)) or None

    def issue(self, display: str, email: str = "", user: str = "") -> tuple[str, str]:
        """Make a token, and a user for it unless there is one.

        Args:
            display: the user's name, and what the token is listed as.
            email: one address is one user, however often it is said.
            user: the id of the user to whom the token goes; "" goes by the address.

        Returns:
            the token, which is shown nowhere again, and the user's id.

        Raises:
            BadRequestError: the name or the address cannot be kept.
            NotFoundError: there is no such user.
            StorageError: it could not be written.
        """
        display, email = self._name(display, "name"), email.strip()
        if email:
            email = self._name(email, "address")
        if not display:
            raise BadRequestError("say whose token it is, or for which machine: the name is empty")
        if user and user != OWNER and user not in self._rows.users([user]):
            raise NotFoundError(f"there is no user {user[:_LONGEST_NAME]}: leave the id away to make a new one")
        with self._stores.state.together():
            user = user or (self._rows.user_of_email(email) if email else "") or self.add(display, email)
            return self.give(user, display), user

    def add(self, display: str, email: str = "") -> str:
        """Make a user; without a name it is called after its id. Gives the id."""
        now = self._stores.clock()
        user = ulid(now)
        self._rows.add_user(User(user, display or f"invited-{user[-6:]}", email), now)
        return user

    def give(self, user: str, label: str) -> str:
        """Give a user one more token; it is shown nowhere again."""
        token = "".join(secrets.choice(_ALPHABET) for _ in range(_TOKEN_SIGNS))
        self._rows.add_token(Token(digest(token), user, label, self._stores.clock()))
        return token

    def tokens(self) -> list[Token]:
        """List all tokens, the oldest first: their digests, of which eight digits name one."""
        return self._rows.tokens()

    def revoke(self, hash8: str) -> Token:
        """Take a token away, named by at least eight digits of its digest; gives what it was.

        Raises:
            BadRequestError: that is no beginning of a digest.
            TokenNotFoundError: nobody has such a token.
            ConflictError: several begin so.
        """
        wanted = hash8.strip().lower()
        if not re.fullmatch(rf"[0-9a-f]{{{_SHOWN},64}}", wanted):
            raise BadRequestError(f"name the token by the first {_SHOWN} digits of its digest, as the list shows them")
        found = [each for each in self.tokens() if each.hash.startswith(wanted)]
        if not found:
            raise TokenNotFoundError(f"nobody has a token {wanted}")
        if len(found) > 1:
            raise ConflictError(f"{len(found)} tokens begin with {wanted}: say more of its digest")
        self._rows.drop_token(found[0].hash)
        return found[0]

    def display(self, user: str) -> str:
        """Give the name of a user as people see it."""
        return self.users([user])[user].display

    def users(self, ids: Iterable[str]) -> dict[str, User]:
        """Give what is known of users; one who was not made here is called by the id."""
        wanted = list(dict.fromkeys(ids))
        known = self._rows.users(wanted)
        return {each: known.get(each) or User(each, each) for each in wanted}

    def _name(self, text: str, what: str) -> str:
        name = " ".join(harmless(text).split())
        if len(name) > _LONGEST_NAME:
            raise BadRequestError(f"the {what} is longer than {_LONGEST_NAME} characters")
        if self._stores.scrubber.scrub(name) != name:
            raise BadRequestError(f"the {what} holds what looks like a secret: choose another")
        return name

    # Devices

    def begin_device(self, client_id: str, scope: str) -> DeviceGrant:
        """Begin to sign a device in.

        Args:
            client_id, scope: as the device says them; its user is shown them.

        Raises:
            BadRequestError: one of them is too long, or holds a secret.
            BusyError: too many devices wait.
        """
        now = self._stores.clock()
        device, code = (
            secrets.token_urlsafe(_DEVICE_BYTES),
            "".join(secrets.choice(_CODE_SIGNS) for _ in range(_CODE_LENGTH)),
        )
        grant = Grant(
            self._name(client_id, "client_id"),
            self._name(scope, "scope"),
            "waiting",
            "",
            now + _DEVICE_TIME,
            _INTERVAL,
            None,
        )
        if not self._rows.begin(digest(device), digest(code), grant, at=now, kept=_REMEMBERED, most=_MOST_DEVICES):
            raise BusyError(f"{_MOST_DEVICES} devices wait to be signed in: try again in ten minutes")
        return DeviceGrant(device, _shown(code), int(_DEVICE_TIME.total_seconds()), _INTERVAL)

    def device(self, user_code: str) -> Device | None:
        """Find the device that waits under a code, typed in any case, with or without dashes; None for none."""
        code = _typed(user_code)
        grant = self._rows.grant(code=digest(code))
        if grant is None or grant.state != "waiting" or grant.expires_at <= self._stores.clock():
            return None
        return Device(_shown(code), grant.client_id, grant.scope)

    def settle_device(self, user_code: str, user: str, *, approved: bool) -> bool:
        """Approve a device as a user, or deny it; tells whether one waited under the code."""
        state = "approved" if approved else "denied"
        return self._rows.settle(digest(_typed(user_code)), state, user, self._stores.clock())

    def poll_device(self, device_code: str, client_id: str) -> Polled:
        """Answer a device that asks whether it was approved; the token is given once."""
        device, now = digest(device_code), self._stores.clock()
        with self._stores.state.together():
            grant = self._rows.grant(device=device)
            if grant is None or grant.client_id != client_id:
                return Polled(error="invalid_grant")
            if grant.expires_at <= now:
                return Polled(error="expired_token")
            if grant.asked_at and now - grant.asked_at < timedelta(seconds=grant.interval):
                self._rows.asked(device, now, slower=_SLOWER)
                return Polled(error="slow_down")
            if grant.state == "waiting":
                self._rows.asked(device, now, slower=timedelta())
                return Polled(error="authorization_pending")
            if self._rows.take(device) is None:
                return Polled(error="invalid_grant")
            if grant.state == "denied":
                return Polled(error="access_denied")
            return Polled(token=self.give(grant.user, grant.client_id), scope=grant.scope)


def digest(secret: str) -> str:
    """Give what is kept of a token or code: its SHA-256 in hexadecimal."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _typed(code: str) -> str:
    return re.sub(r"[\s-]+", "", code).upper()


def _shown(code: str) -> str:
    return f"{code[: _CODE_LENGTH // 2]}-{code[_CODE_LENGTH // 2 :]}"
