"""The tokens of users: `user_tokens.json`, an object {token: user id}, which people write by hand, too."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ai_memory.errors import BadRequestError, ConfigError, NotFoundError, StorageError
from ai_memory.store.files import write_whole
from ai_memory.store.lock import alone

_TOKEN_BYTES = 32
_LONGEST_USER = 200


class UserTokensError(ConfigError):
    """The file with the tokens of users cannot be used, so it lets nobody in."""


def read(file: Path) -> dict[str, str]:
    """Read the file: token -> user id.

    Raises:
        UserTokensError: it is missing, cannot be read, or something in it is not a token with its user; the message
            holds no token.
    """
    try:
        content = file.read_bytes()
        found = json.loads(content, object_pairs_hook=list)
    except FileNotFoundError:
        raise UserTokensError(f"{file} is missing (`ai-memory user add NAME` makes it)") from None
    except OSError as error:
        raise UserTokensError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError):
        raise UserTokensError(f"{file} is not JSON") from None
    # An empty list of pairs is an object, or a list: only its first sign tells.
    if not isinstance(found, list) or not content.lstrip(b" \t\r\n\xef\xbb\xbf").startswith(b"{"):
        raise UserTokensError(f'{file} has to be an object: {{"token": "user id", ...}}')
    for token, user in found:
        if not (isinstance(user, str) and token.strip() and user.strip()):
            raise UserTokensError(f"{file}: a token or a user id is blank, or a user id is not a text")
    if len(tokens := dict(found)) < len(found):
        raise UserTokensError(f"{file}: a token is there twice, and nobody can say whose it is")
    return tokens


def exposure(file: Path) -> str:
    """Say that others than its owner may read or write the file, "" where they may not."""
    with suppress(OSError):
        mode = stat.S_IMODE(file.stat().st_mode)
        if os.name != "nt" and mode & 0o077:
            return f"{file} holds tokens and has the mode {mode:04o}: `chmod 600` keeps others from reading it"
    return ""


def add(file: Path, user: str) -> str:
    """Give a user one more token, and make the file where there is none.

    Returns:
        the token; it is shown nowhere again.

    Raises:
        BadRequestError: that cannot be the id of a user.
        UserTokensError: the file that is there cannot be used; it is left alone.
        StorageError: it could not be written.
    """
    if not user.strip() or not user.isprintable() or len(user) > _LONGEST_USER:
        raise BadRequestError(f"the name of a user has 1 to {_LONGEST_USER} signs that can be seen")
    with alone(file):
        tokens = read(file) if file.exists() else {}
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        _write(file, {**tokens, token: user})
    return token


def remove(file: Path, user: str) -> int:
    """Take all tokens away from a user; what was stored stays. Gives how many there were.

    Raises:
        NotFoundError: nobody of this id has one.
        UserTokensError: the file cannot be used; it is left alone.
        StorageError: it could not be written.
    """
    with alone(file):
        tokens = read(file)
        kept = {token: each for token, each in tokens.items() if each != user}
        if len(kept) == len(tokens):
            known = ", ".join(sorted(set(tokens.values()))) or "nobody"
            raise NotFoundError(f"there is no user {user} (who has a token: {known})")
        _write(file, kept)
    return len(tokens) - len(kept)


def _write(file: Path, tokens: Mapping[str, str]) -> None:
    try:
        # What a link leads to, as a container's secret may be one.
        write_whole(file.resolve(), (json.dumps(tokens, indent=2, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise StorageError(f"{file} could not be written: {error.strerror}") from error
