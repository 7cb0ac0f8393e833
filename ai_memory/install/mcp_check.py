"""An MCP entry tried as a client would: who answers there, and which tools are offered.

A list of servers tells nobody that one of them does not answer; so the installer asks.
"""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ai_memory import __version__
from ai_memory.client import reach
from ai_memory.config import plain_environment
from ai_memory.install.target import SelfTest

_SECONDS = 10.0
_VERSION = "2025-06-18"
_START = "Start it with: ai-memory serve"
_HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": _VERSION,
        "capabilities": {},
        "clientInfo": {"name": "ai-memory install-mcp", "version": __version__},
    },
}
_READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}
_LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


def check(entry: Mapping[str, Any], data_dir: Path) -> SelfTest:
    """Connect with an entry as it stands in a client's file, and list the tools.

    Args:
        entry: names an address and headers, or a program.
        data_dir: where a program is started.
    """
    if "command" in entry:
        return _started([str(entry["command"]), *map(str, entry["args"])], data_dir)
    url = str(entry.get("url") or entry.get("httpUrl") or entry.get("serverUrl"))
    headers = {**entry.get("headers", {}), **entry.get("http_headers", {})}
    return _asked(url, {str(name): str(value) for name, value in headers.items()})


def _asked(url: str, headers: dict[str, str]) -> SelfTest:
    try:
        session, hello = _post(url, headers, _HELLO)
        headers |= {"MCP-Protocol-Version": _VERSION, **({"Mcp-Session-Id": session} if session else {})}
        _, listed = _post(url, headers, _LIST)
        return _told(url, hello, listed)
    except urllib.error.HTTPError as error:
        if error.code == 401:
            return SelfTest("failed", f"The server at {url} refused the token. Give the right --auth-token.")
        return SelfTest("failed", f"{url} answered {error.code} {error.reason}: is an ai-memory of this version there?")
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return SelfTest("unreachable", f"No server answers at {url} ({reason}). {_START}")


def _post(url: str, headers: Mapping[str, str], message: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Send one message; gives the session that the server opened, or "", and the answer."""
    accepts = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    request = urllib.request.Request(url, json.dumps(message).encode(), {**accepts, **headers})  # noqa: S310 - http(s) only: check_server_url
    # The way of the agents' own requests: no proxy of this shell.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_SECONDS) as response:
        text = response.read().decode()
        if "text/event-stream" in response.headers.get("Content-Type", ""):
            text = next(line[5:] for line in text.splitlines() if line.startswith("data:") and line[5:].strip())
        return response.headers.get("Mcp-Session-Id", ""), dict(json.loads(text))


def _started(command: list[str], data_dir: Path) -> SelfTest:
    server = str(reach.client_settings(str(data_dir)).get("server_url") or reach.DEFAULT_URL)
    try:
        reach.ask(server, "/healthz", token="", seconds=_SECONDS)
    except reach.UnreachableError as error:
        return SelfTest("unreachable", f"No server answers at {server} ({error}). {_START}")
    lines = "".join(json.dumps(message) + "\n" for message in (_HELLO, _READY, _LIST))
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=data_dir,
            # A client is started elsewhere: what this shell says of server and token must not make the test green.
            env=plain_environment(),
        )
    except OSError as error:
        return SelfTest("failed", f"The program did not work: {error}")
    try:
        answers, said = _conversation(process, lines.encode())
    except ValueError:
        return SelfTest("failed", f"{command[0]} does not speak MCP.")
    if not {1, 2} <= answers.keys():
        return SelfTest("failed", f"The program did not answer. {said}".strip())
    return _told(server, answers[1], answers[2])


def _conversation(process: subprocess.Popen[bytes], lines: bytes) -> tuple[dict[Any, dict[str, Any]], str]:
    """Say all lines, wait for both answers with stdin open as clients do; gives them, and what went to stderr."""
    answers: dict[Any, dict[str, Any]] = {}
    end = threading.Timer(_SECONDS * 2, process.kill)
    end.start()
    with process, suppress(BrokenPipeError):
        assert process.stdin is not None  # noqa: S101 - all three are pipes
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        try:
            process.stdin.write(lines)
            process.stdin.flush()
            while not {1, 2} <= answers.keys() and (line := process.stdout.readline()):
                answer = json.loads(line)
                answers[answer.get("id")] = answer
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()
            said = process.stderr.read().decode(errors="replace").strip()
            end.cancel()
    return answers, said


def _told(where: str, hello: Mapping[str, Any], listed: Mapping[str, Any]) -> SelfTest:
    for answer in (hello, listed):
        if "result" not in answer:
            said = answer.get("error", {}).get("message", "nothing that can be understood")
            return SelfTest("failed", f"{where} refused: {said}")
    name = hello["result"].get("serverInfo", {}).get("name", "a server without a name")
    tools = listed["result"].get("tools", [])
    return SelfTest("answered", f"{name} answered at {where} and offers {len(tools)} tools.")
