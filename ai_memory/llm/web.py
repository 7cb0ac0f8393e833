"""Asking the pages at which vendors give out tokens: small forms, small answers in JSON."""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit

from ai_memory.llm.asking import ModelError
from ai_memory.llm.wire import AGENT

_SECONDS = 30.0
_MOST = 1_000_000


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follow no redirect: it would carry a token to somebody whom nobody has named."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> None:
        """Give no request."""


def ask(
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    """Send a form, or a body of JSON, or nothing; gives the status and the JSON object that came, empty if none did.

    Raises:
        ModelError: nobody answers; "transient".
    """
    data = urlencode(form).encode() if form is not None else json.dumps(body).encode() if body is not None else None
    said = {"Accept": "application/json", "User-Agent": AGENT}
    if data is not None:
        said["Content-Type"] = "application/json" if form is None else "application/x-www-form-urlencoded"
    request = urllib.request.Request(url, data, {**said, **(headers or {})})  # noqa: S310 - our own addresses
    try:
        try:
            with urllib.request.build_opener(_Stay).open(request, timeout=_SECONDS) as response:
                return response.status, _object(response.read(_MOST))
        except HTTPError as error:
            with error:
                return error.code, _object(error.read(_MOST))
    except (OSError, http.client.HTTPException) as error:
        raise ModelError(f"{urlsplit(url).netloc} gave no answer: {error}", "transient") from None


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
