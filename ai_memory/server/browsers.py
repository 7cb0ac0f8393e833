"""Browsers of people: which of them signed in with which token, and who was wrong too often to be asked again."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

SESSION_SECONDS = 12 * 3600
#: So many browsers are remembered; the one that signed in first is forgotten first.
_SESSIONS = 1000
#: So many of one token, so that nobody signs others out by signing in.
_SESSIONS_EACH = 50
#: So many wrong tokens or codes in so many seconds, and no more are looked at until they are over.
_WRONG, _WRONG_SECONDS = 10, 300.0
#: Of so many people it is known.
_PEOPLE = 10_000


class Browsers:
    """The browsers that signed in. A restart forgets them all."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._tokens: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def sign_in(self, token: str) -> str:
        """Remember a browser; gives its cookie."""
        cookie = secrets.token_urlsafe(32)
        same = [each for each, (theirs, _) in self._tokens.items() if theirs == token]
        for each in same[: max(0, len(same) - _SESSIONS_EACH + 1)]:
            del self._tokens[each]
        self._tokens[cookie] = (token, self._seconds() + SESSION_SECONDS)
        if len(self._tokens) > _SESSIONS:
            self._tokens.popitem(last=False)
        return cookie

    def sign_out(self, cookie: str) -> None:
        """Forget a browser."""
        self._tokens.pop(cookie, None)

    def token_of(self, cookie: str) -> str:
        """Give the token that a browser signed in with, "" for none; whether it still counts is not known here."""
        token, until = self._tokens.get(cookie, ("", 0.0))
        return token if self._seconds() < until else ""

    def was_wrong(self, who: str) -> None:
        """Note that somebody typed a token or a code that there is not."""
        self._wrong[who] = [*self._wrong.get(who, ()), self._seconds()][-_WRONG:]
        self._wrong.move_to_end(who)
        if len(self._wrong) > _PEOPLE:
            self._wrong.popitem(last=False)

    def must_wait(self, who: str) -> bool:
        """Tell whether somebody was wrong so often lately that nothing of theirs is looked at."""
        since = self._seconds() - _WRONG_SECONDS
        return sum(at > since for at in self._wrong.get(who, ())) >= _WRONG
