"""The OpenAPI document of `/api/v1`, made of the table that registers the routes: the two cannot disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ai_memory import __version__
from ai_memory.server.api.route import Route
from ai_memory.server.api.shapes import SHAPES, named
from ai_memory.server.visitors import COOKIE

_ERROR = {"application/json": {"schema": named("Error")}}
_PLAIN = {"text/plain": {"schema": {"type": "string"}}}

#: What stands before every route answers in plain text, the routes themselves in JSON.
_RESPONSES: Mapping[str, Mapping[str, object]] = {
    "BadRequest": {
        "description": "What was asked cannot be understood; the sentence says what of it.",
        "content": _ERROR,
    },
    "Unauthorized": {
        "description": "The server has a token, and the request came without it.",
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
        "content": _PLAIN,
    },
    "Forbidden": {"description": "The request names a host or an origin that the settings do not.", "content": _PLAIN},
    "NotFound": {"description": "There is no such thing.", "content": _ERROR},
    "TooLarge": {"description": "The body is larger than 10 MiB.", "content": _ERROR},
    "TooOften": {"description": "Ten wrong tokens came from there: wait five minutes.", "content": _PLAIN},
    "Broken": {"description": "A fault of the server; its log says which.", "content": _ERROR},
}


def document(routes: Iterable[Route], base: str) -> Mapping[str, object]:
    """Describe routes as OpenAPI 3.1 does.

    Args:
        routes: all of them.
        base: the path below which everything is served, "" for the root.
    """
    paths: dict[str, dict[str, object]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ai-memory",
            "version": __version__,
            "description": "What the memory knows, for front ends and programs. Nothing here writes.",
        },
        "servers": [{"url": f"{base}/api/v1"}],
        "security": [{"bearer": []}, {"basic": []}, {"cookie": []}, {}],
        "paths": paths,
        "components": {
            "schemas": SHAPES,
            "responses": _RESPONSES,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The server's token."},
                "basic": {"type": "http", "scheme": "basic", "description": "Any name, the token as the password."},
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": COOKIE,
                    "description": "Of who signed in at /web.",
                },
            },
        },
    }


def _operation(route: Route) -> Mapping[str, object]:
    headers: dict[str, object] = {"Cache-Control": {"schema": {"type": "string"}}}
    if route.has_etag:
        headers["ETag"] = {"schema": {"type": "string"}}
    responses: dict[str, Any] = {
        "200": {"description": route.about, "headers": headers, "content": {route.media: {"schema": route.shape}}}
    }
    if route.has_etag:
        responses["304"] = {"description": "It is what the If-None-Match of the request says."}
    names = {"400": "BadRequest", "401": "Unauthorized", "403": "Forbidden", "429": "TooOften", "500": "Broken"}
    names |= {"404": "NotFound"} if route.can_be_missing else {}
    names |= {"413": "TooLarge"} if route.body else {}
    responses |= {status: {"$ref": f"#/components/responses/{name}"} for status, name in names.items()}
    responses |= {status: {"description": why, "content": _ERROR} for status, why in (route.more or {}).items()}
    told: dict[str, object] = {
        "operationId": route.name,
        "summary": route.about,
        "parameters": [each.as_json() for each in route.parameters],
        "responses": dict(sorted(responses.items())),
    }
    if route.body:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": route.body}}}
    return told
