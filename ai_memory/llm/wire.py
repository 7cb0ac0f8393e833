"""One request to a vendor through an SDK: above all how it can fail."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from ai_memory import __version__
from ai_memory.llm.asking import ModelError

AGENT = f"ai-memory/{__version__}"
#: Bytes of an answer that are read; no answer of a model is near it.
_MOST = 32_000_000
#: Bytes of a refusal that are read: more than any reason takes.
_MOST_OF_REFUSAL = 100_000
_LONGEST_DETAIL = 300
#: Statuses that pass: the vendor is busy, or not well.
_PASSING = frozenset({408, 409, 425, 429})
#: How servers call what they cannot do, when they refuse to answer in a given shape.
_SHAPE_WORDS = ("response_format", "json_schema", "structured output")


class ShapeRefusedError(ModelError):
    """The server cannot answer in a given shape; it may without."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where a vendor is asked, and as whom.

    Attributes:
        provider: as settings and messages name it.
        root: the URL that paths are appended to.
        headers: of every request; None removes one that the SDK sets by itself.
        secrets: what must never be repeated.
        key_advice: what a person does when the key is refused.
        model_advice: the settings to look at when the rest is.
        seconds: patience with one answer.
    """

    provider: str
    root: str
    headers: Mapping[str, str | None] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    key_advice: str
    model_advice: str
    seconds: float

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.root).netloc.rpartition("@")[2]


class Wire:
    """A door, opened by one of the SDKs; may be used by several threads at once."""

    def __init__(self, sdk: ModuleType, client: Callable[[Any], Any], door: Door) -> None:
        """Take what makes a client of an SDK, over a client of HTTP, that does not ask again by itself."""
        # They tell of every request, and at "debug" of the texts in it.
        for logger in ("openai", "anthropic", "httpx2", "httpcore2"):
            logging.getLogger(logger).setLevel(logging.WARNING)
        self._sdk, self._door = sdk, door
        # An SDK reads a refusal to its end, however long that is and takes.
        self._client = client(sdk.DefaultHttpxClient(event_hooks={"response": [self._looked_at]}))
        self._headers = {name: sdk.Omit() if value is None else value for name, value in door.headers.items()}

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Ask, and read the answer's JSON.

        Raises:
            ModelError: there is none.
        """
        with self._failing(), self._opened(path, body) as stream:
            return self._parsed(b"".join(self._pieces(stream.response)))

    def events(self, path: str, body: Mapping[str, Any]) -> Iterator[Any]:
        """Ask for an answer in events, and read the JSON of each.

        Raises:
            ModelError: there are none, or they break off.
        """
        data: list[bytes] = []
        line: list[bytes] = []
        with self._failing(), self._opened(path, body) as stream:
            for piece in self._pieces(stream.response):
                *ends, rest = piece.split(b"\n")
                for end in ends:
                    whole = b"".join([*line, end])
                    line.clear()
                    if whole.startswith(b"data:"):
                        data.append(whole[5:].strip())
                    elif not whole.strip() and data:
                        yield self._parsed(b"\n".join(data))
                        data.clear()
                line.append(rest)

    def strange(self) -> ModelError:
        """Say that what came is no answer of such a vendor."""
        return ModelError(
            f"what {self._door.provider} at {self._door.host} answers is not what this kind of server says: "
            f"{self._door.model_advice}, if this goes on",
            "unparsable",
        )

    def broken(self, said: str = "") -> ModelError:
        """Say that the vendor itself failed in the middle of an answer."""
        error = ModelError(f"{self._door.provider} at {self._door.host} broke its answer off", "transient")
        error.said = self._harmless(said)
        return error

    def _opened(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._client.post(
            path,
            cast_to=object,
            body=body,
            # A redirect would carry the key to somebody whom nobody has named.
            options={"headers": self._headers, "timeout": self._door.seconds, "follow_redirects": False},
            # Also where the answer is one piece: so the patience is with all of it, not with each byte.
            stream=True,
            stream_cls=self._sdk.Stream[object],
        )

    def _pieces(self, response: Any) -> Iterator[bytes]:
        """Read an answer to its end, as long as patience and room are left."""
        until = time.monotonic() + self._door.seconds
        read = 0
        # As they were sent: a small piece may unpack to a giant. Nobody was asked to pack anything.
        for piece in response.iter_raw():
            read += len(piece)
            if time.monotonic() > until:
                raise self._late()
            if read > _MOST:
                raise self.strange()
            yield piece

    def _parsed(self, raw: bytes) -> Any:
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            raise self.strange() from None

    def _late(self) -> ModelError:
        door = self._door
        return ModelError(f"{door.provider} at {door.host} gave no answer in {door.seconds:g} s", "transient")

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Turn what the SDK and its connection raise into one kind of error, without the cause: it may hold headers."""
        import httpx2

        sdk, door = self._sdk, self._door
        try:
            yield
        except (sdk.APITimeoutError, httpx2.TimeoutException):
            raise self._late() from None
        except (sdk.APIConnectionError, httpx2.HTTPError) as error:
            cause = error.__cause__ or error
            if isinstance(cause, ModelError):
                # One of the SDKs takes a refusal for a connection that failed.
                raise cause from None
            raise ModelError(
                f"{door.provider} cannot be reached at {door.host}, or broke off: {self._harmless(str(cause))}",
                "transient",
            ) from None

    def _looked_at(self, response: Any) -> None:
        if response.is_success:
            return
        until = time.monotonic() + self._door.seconds
        raw = b""
        for piece in response.iter_raw():
            raw += piece
            if time.monotonic() > until or len(raw) > _MOST_OF_REFUSAL:
                break
        raise self._refusal(response.status_code, response.headers, raw[:_MOST_OF_REFUSAL].decode(errors="replace"))

    def _refusal(self, status: int, headers: Mapping[str, str], text: str) -> ModelError:
        door = self._door
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        if isinstance(body, dict) and isinstance(body.get("error"), dict):
            body = body["error"]
        said = self._harmless(_detail(body, text))
        if status in _PASSING or status >= 500:
            error = ModelError(
                f"{door.provider} is busy or not well (HTTP {status})",
                "transient",
                retry_after=_seconds(headers, body),
            )
        elif status in (400, 422) and any(word in text.lower() for word in _SHAPE_WORDS):
            error = ShapeRefusedError(f"{door.provider} cannot answer in a given shape (HTTP {status})", "terminal")
        else:
            wrong_key = f"the key is wrong, or may not do this: {door.key_advice}"
            todo = wrong_key if status in (401, 403) else door.model_advice
            error = ModelError(f"{door.provider} refused (HTTP {status}): {todo}", "terminal")
        error.said = said
        return error

    def _harmless(self, text: str) -> str:
        """Shorten what somebody else said, without keys, which some repeat."""
        text = " ".join(text.split())
        for secret in self._door.secrets:
            text = text.replace(secret, "[REDACTED]")
        return text[:_LONGEST_DETAIL]


def _detail(body: Any, text: str) -> str:
    said = (body.get("message") or body.get("detail")) if isinstance(body, Mapping) else None
    return str(said or text)


def _seconds(headers: Mapping[str, str], body: Any) -> float | None:
    """Read how long the vendor wants us to wait, in a header or, as Google does, in the body; dates are passed over."""
    found = [headers.get("retry-after", "")]
    if isinstance(body, Mapping) and isinstance(body.get("details"), list):
        found += [
            str(each.get("retryDelay", "")).removesuffix("s") for each in body["details"] if isinstance(each, dict)
        ]
    for text in found:
        try:
            seconds = float(text)
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None
