"""Fetching the files of a model of this machine."""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit

from ai_memory import __version__
from ai_memory.errors import ConfigError, ServerUnreachableError
from ai_memory.store.models import Model, Part

_SECONDS = 30.0
_CHUNK = 1 << 18


def files_at(url: str, model: Model) -> Callable[[Part], Iterable[bytes]]:
    """Read the files of a model from `<url>/<model>/<file>`, for `store.models.install`.

    What is read raises ServerUnreachableError where nobody gives the file, or stops in the middle.

    Raises:
        ConfigError: there is no such address.
    """
    if not url:
        raise ConfigError(
            "there is no address to pull from: set models_url to where MODEL/FILE lies, or take the files from a "
            "folder: ai-memory models install --from DIR"
        )
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(f"models_url {url!r} is not a URL: write one like https://models.example/ai-memory")

    def read(part: Part) -> Iterator[bytes]:
        address = f"{url.rstrip('/')}/{quote(model.name)}/{quote(part.name)}"
        request = urllib.request.Request(address, headers={"User-Agent": f"ai-memory/{__version__}"})  # noqa: S310 - http
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310 - checked above
                while piece := response.read(_CHUNK):
                    yield piece
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, HTTPError):
                # It holds the connection.
                error.close()
            raise ServerUnreachableError(f"{address} cannot be fetched: {error}: nothing was installed") from error

    return read
