"""The tokens that a person got by signing in: `auth.json` in the data directory, its owner's alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ai_memory.errors import ConfigError, StorageError
from ai_memory.store.files import write_whole
from ai_memory.store.lock import alone

Login = Mapping[str, Any]


class Logins:
    """What is kept for each provider, by its name.

    Args:
        data_dir: where `auth.json` is.
    """

    def __init__(self, data_dir: Path) -> None:
        self.file = data_dir / "auth.json"

    def of(self, provider: str) -> Login | None:
        """Give what is kept for a provider, None when nobody is signed in.

        Raises:
            ConfigError: the file cannot be used.
        """
        return self._all().get(provider)

    def keep(self, provider: str, login: Login) -> None:
        """Keep the tokens for a provider, in the place of former ones.

        Raises:
            ConfigError: the file that is there cannot be used; it is left alone.
            StorageError: it could not be written.
        """
        with alone(self.file):
            self._write({**self._all(), provider: login})

    def forget(self, provider: str) -> bool:
        """Drop the tokens for a provider; gives whether there were some.

        Raises:
            ConfigError, StorageError: as `keep`.
        """
        with alone(self.file):
            known = self._all()
            if provider not in known:
                return False
            self._write({name: login for name, login in known.items() if name != provider})
            return True

    @contextmanager
    def changing(self, provider: str) -> Iterator[tuple[Login | None, Any]]:
        """Keep every other program from changing the file; gives what is kept now, and a call that replaces it.

        A token that renews others can often be used once only: two programs that used it at once would both be lost.
        """
        with alone(self.file):
            known = self._all()
            yield known.get(provider), lambda login: self._write({**known, provider: login})

    def _all(self) -> dict[str, Login]:
        try:
            found: Any = json.loads(self.file.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigError(f"{self.file} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and all(isinstance(login, dict) for login in found.values()):
            return found
        raise ConfigError(f"{self.file} is damaged: remove it, and sign in again with `ai-memory auth login`")

    def _write(self, logins: Mapping[str, Login]) -> None:
        try:
            write_whole(self.file, (json.dumps(logins, indent=2) + "\n").encode())
        except OSError as error:
            raise StorageError(f"{self.file} could not be written: {error.strerror}") from error
