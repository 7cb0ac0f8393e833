"""Where packets are kept, and one token for each place: `credentials.json` in the data directory, its owner's alone."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ai_memory.errors import BadRequestError, ConfigError, StorageError
from ai_memory.store.files import write_whole
from ai_memory.store.lock import alone

_PORTS = {"http": 80, "https": 443}
_LONGEST_TOKEN = 4096


def host_named(text: str) -> str:
    """Bring the address of a server to its one spelling: scheme, host, port and path, without a slash at the end.

    Raises:
        BadRequestError: that is no address that packets could be sent to.
    """
    said = text.strip()
    try:
        parts = urlsplit(said)
        port = parts.port
        # A label that is empty or too long is found by the socket only.
        (parts.hostname or "").encode("idna")
    except ValueError:
        raise BadRequestError(
            f"{said!r} is not the address of a server: write one like https://ltm.example.org"
        ) from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
        raise BadRequestError(f"{said!r} is not the address of a server: write one like https://ltm.example.org")
    if parts.username is not None or parts.password is not None:
        raise BadRequestError("the address of a server must hold no name or password: the token is kept by itself")
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    behind = "" if port in (None, _PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{name}{behind}{parts.path.rstrip('/')}"


def token_typed(text: str) -> str:
    """Take a token as somebody typed or piped it, without the blanks around it.

    Raises:
        BadRequestError: it is empty, or has signs that no token has; it is not repeated in the message.
    """
    token = text.strip()
    if not _is_token(token):
        raise BadRequestError("that is no token: it has to be one word of ASCII letters, digits and signs")
    return token


def _is_token(text: Any) -> bool:
    return isinstance(text, str) and len(text) <= _LONGEST_TOKEN and bool(re.fullmatch("[!-~]+", text))


def hash8(token: str) -> str:
    """Name a token without showing it: the first 8 hex digits of its SHA-256, "" for none."""
    return hashlib.sha256(token.encode()).hexdigest()[:8] if token else ""


@dataclass(frozen=True, slots=True)
class Known:
    """What a file says: the server that is asked unless another is named ("" for none), and tokens by server."""

    default: str = ""
    tokens: dict[str, str] = field(default_factory=dict)


class Credentials:
    """The tokens of this machine, one for each server; none is ever given for another server than its own.

    Somebody who used the `ltm` program before is signed in at once: its folder is read where ours knows nothing, and
    never written.

    Args:
        data_dir: where `credentials.json` is.
        ltm_folder: where the `ltm` program keeps `config.toml` and `credentials`.
    """

    def __init__(self, data_dir: Path, ltm_folder: Path) -> None:
        self.file = data_dir / "credentials.json"
        self._ltm_folder = ltm_folder

    def default(self) -> str:
        """Give the server that is asked unless another is named, "" where nobody chose one.

        Raises:
            ConfigError: a file that says it cannot be used.
        """
        return self._known().default or self._of_ltm().default

    def token(self, host: str) -> str:
        """Give the token for a server, "" where there is none.

        Raises:
            ConfigError: a file that may hold it cannot be used.
        """
        return self._known().tokens.get(host) or self._of_ltm().tokens.get(host, "")

    def keep(self, host: str, token: str, *, default: bool = False) -> None:
        """Keep the token for a server, in the place of the one that was kept for it.

        Args:
            host: as `host_named` gives it.
            token: the token.
            default: also ask this server from now on.

        Raises:
            ConfigError: the file that is there cannot be used; it is left alone.
            StorageError: it could not be written.
        """
        with alone(self.file):
            known = self._known()
            tokens = {**known.tokens, host: token}
            content = {"default": host if default else known.default, "tokens": tokens}
            try:
                write_whole(self.file.resolve(), (json.dumps(content, indent=2) + "\n").encode())
            except OSError as error:
                raise StorageError(f"{self.file} could not be written: {error.strerror}") from error

    def _known(self) -> Known:
        try:
            found: Any = json.loads(self.file.read_bytes())
        except FileNotFoundError:
            return Known()
        except OSError as error:
            raise ConfigError(f"{self.file} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError):
            found = None
        default, tokens = (found.get("default"), found.get("tokens")) if isinstance(found, dict) else (None, None)
        if isinstance(default, str) and isinstance(tokens, dict) and all(map(_is_token, tokens.values())):
            return Known(default, tokens)
        raise ConfigError(f"{self.file} is damaged: remove it, and sign in again with `ai-memory auth`")

    def _of_ltm(self) -> Known:
        folder = self._ltm_folder
        try:
            named = tomllib.loads((folder / "config.toml").read_text("utf-8")).get("host")
            token = (folder / "credentials").read_text("utf-8").strip()
            # Its only token belongs to its only server; LTM_HOST may name another one.
            host = host_named(str(named)) if named else ""
            return Known(host, {host: token_typed(token)} if token else {}) if host else Known()
        except FileNotFoundError:
            return Known()
        except (OSError, ValueError, BadRequestError) as error:
            raise ConfigError(
                f"what `ltm` keeps in {folder} cannot be used ({error}): mend it, or remove it"
            ) from error
