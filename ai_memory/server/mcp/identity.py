"""Who calls a tool: what agents and the bridge say of themselves and of their session, each in its own way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

from mcp.server import ServerRequestContext

from ai_memory.client.agents import OTHER, agent_named
from ai_memory.memory.memory import Memory
from ai_memory.memory.scopes import Who
from ai_memory.model.ids import session_uuid

#: The session of the caller, in a header that people and the bridge set.
SESSION_HEADER = "X-Memory-Actor-Session-Id"
#: The parameters of `/hook` for the caller's directory, as the query of a URL; the bridge sends it.
ROUTING_HEADER = "X-Memory-Routing"
#: Under which key of an ASGI scope the user stands whom the gate found.
USER = "ai_memory.user"

_OPEN_CODE_SESSION = "ai.opencode/sessionID"
_CODEX_TURN = "x-codex-turn-metadata"
#: What only one agent sends with a call. Most say their name in the handshake alone, which a stateless call has not.
_TELLING = {_OPEN_CODE_SESSION: "open-code", _CODEX_TURN: "codex", "claudecode/toolUseId": "claude-code"}
#: How programs call themselves, where it is neither a wire name nor one of its aliases.
_CALLED = {
    "claude-ai": "claude-desktop",
    "codex-mcp-client": "codex",
    "codex_cli_rs": "codex",
    "cursor-vscode": "cursor",
    "gemini-cli-mcp-client": "gemini-cli",
}


def who_asks(memory: Memory, context: ServerRequestContext[Any]) -> Who:
    """Gather what a call says of its caller; it reads the index for the session, so it belongs into a thread."""
    request, params = context.request, context.params or {}
    headers: Mapping[str, str] = request.headers if request else {}
    said = params.get("_meta")
    meta = said if isinstance(said, Mapping) else {}
    return Who(
        agent=_agent(context, headers, meta),
        session=_session(memory, headers, meta),
        routing=dict(parse_qsl(headers.get(ROUTING_HEADER, ""))),
        user=request.scope[USER] if request else "",
        token_hash8=_hash8(headers.get("Authorization", "")),
    )


def _hash8(authorization: str) -> str:
    token = authorization.partition(" ")[2].strip()
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:8] if token else ""


def _agent(context: ServerRequestContext[Any], headers: Mapping[str, str], meta: Mapping[str, Any]) -> str:
    """Find the agent's wire name: by the handshake, the program's name in the headers, what only one of them sends."""
    shaken = context.session.client_params
    names = [shaken.client_info.name if shaken else "", headers.get("User-Agent", "").partition("/")[0]]
    for name in names:
        agent = agent_named(_CALLED.get(name.lower(), name))
        if agent is not OTHER:
            return agent.name
    return next((agent for key, agent in _TELLING.items() if key in meta), "")


def _session(memory: Memory, headers: Mapping[str, str], meta: Mapping[str, Any]) -> str:
    """Find the agent's own id of its session, "" when the call does not tell."""
    for said in (headers.get(SESSION_HEADER), meta.get(_OPEN_CODE_SESSION), _codex_session(meta.get(_CODEX_TURN))):
        if isinstance(said, str) and said:
            return said
    # Usually it is an id that a transport made up; as a session that no hook knows it would hide what is known.
    transport = headers.get("Mcp-Session-Id", "")
    return transport if transport and memory.stores.index.sessions_of(session_uuid(transport)) else ""


def _codex_session(turn: object) -> object:
    if isinstance(turn, str):
        try:
            turn = json.loads(turn)
        except (ValueError, RecursionError):
            return ""
    return turn.get("session_id") if isinstance(turn, Mapping) else ""
