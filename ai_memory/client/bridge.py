"""An MCP server over stdin and stdout that passes every message on to the running server's `POST /mcp`.

For clients that start a program instead of naming an address, and for those that can say more in this way: the bridge
runs where the agent runs, so it can tell the server the session and the directory. It starts as fast as a hook does and
holds nothing; a server that is away is an error of that one request, and the next may succeed.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from binascii import b2a_base64
from http.client import HTTPException
from urllib.parse import urlencode, urlsplit

from . import reach
from .datadir import data_dir, home_dir
from .place import is_recorded, look, query
from .quick_json import NotJsonError, dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.client import HTTPResponse
    from typing import Any

#: Toolset -> the path of its door.
TOOLSETS = {"wiki": "/mcp", "records": "/mcp/records", "memories": "/mcp/memories", "packets": "/mcp/packets"}
#: The server refuses more, and hangs up before everything is sent.
_LARGEST = 10 * 1024 * 1024
#: Seconds: until a connection stands, and until a client that asks who is there gets an answer, or it waits in vain.
_GREETING = 2.0
#: Seconds without a byte of an answer: a tool that asks a model takes minutes.
_ANSWER = 600.0
#: Seconds that requests under way get when the client has closed stdin.
_MOMENT = 2.0
_AT_ONCE = 32
_GREETINGS = ("initialize", "server/discover")
#: Beginning of a client's name -> its variable that says which session it is. No other client's: an agent may have
#: been started inside of another one.
_SESSIONS = {"claude": "CLAUDE_CODE_SESSION_ID", "gemini": "GEMINI_SESSION_ID"}
#: What the newest protocol says with each request, the older ones once.
_META = "io.modelcontextprotocol/"
#: Method -> the parameter that the newest protocol repeats in a header.
_NAMES = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_PARSE_ERROR, _INVALID, _FAILED = -32700, -32600, -32000


_HELP = f"""Usage: mcp [--server-url URL] [--data-dir DIR] [--toolset {"|".join(TOOLSETS)}]

Speak MCP on stdin and stdout; everything is passed on to the running server.
Agents start this program: `ai-memory install-mcp` writes their entries.
"""


class UsageError(ValueError):
    """The program was started with arguments that mean nothing."""


def main(arguments: list[str]) -> None:
    """Run the bridge as `mcp [--server-url URL] [--data-dir DIR] [--toolset NAME]`, and end the process."""
    status = 0
    try:
        if "--help" in arguments:
            sys.stdout.write(_HELP)
            sys.stdout.flush()
            return
        said = _options(arguments)
        where = os.path.abspath(os.path.expanduser(said["--data-dir"])) if "--data-dir" in said else data_dir()
        url = said.get("--server-url") or reach.server_url(where)
        Bridge(lambda: url, where, said.get("--toolset", "wiki")).run()
    except UsageError as error:
        _say(str(error))
        status = 2
    finally:
        # A traceback first, where there is one.
        problem = sys.exc_info()[1]
        if problem:
            sys.excepthook(type(problem), problem, problem.__traceback__)
            status = 1
        # Past the interpreter's own clean-up: threads that wait for an answer would hold it.
        os._exit(status)


def _options(arguments: list[str]) -> dict[str, str]:
    known = ("--server-url", "--data-dir", "--toolset")
    said: dict[str, str] = {}
    rest = iter([part for each in arguments for part in (each.split("=", 1) if each.startswith("--") else [each])])
    for option in rest:
        if option not in known:
            raise UsageError(f"{option} is not known here: there are {', '.join(known)}, and all in `ai-memory mcp`")
        said[option] = next(rest, "")
        if not said[option]:
            raise UsageError(f"{option} needs a value")
    if said.get("--toolset", "wiki") not in TOOLSETS:
        raise UsageError(f"there is no toolset {said['--toolset']}: there are {', '.join(TOOLSETS)}")
    return said


class Bridge:
    """One client on stdin and stdout, one server behind HTTP."""

    def __init__(
        self,
        server: Callable[[], str],
        where: str,
        toolset: str = "wiki",
        *,
        token: str = "",
        patience: float = _GREETING,
    ) -> None:
        """Compose.

        Args:
            server: gives the server's address, each time anew; may raise `UnreachableError`.
            where: the data directory, which holds the token and the client's settings.
            toolset: a key of `TOOLSETS`.
            token: a token to try before those that `reach.tokens` finds.
            patience: seconds after which a greeting is answered with an error.
        """
        self._server = server
        self._where = where
        self._path = TOOLSETS[toolset]
        self._token = token
        self._patience = patience
        self._calls: dict[Any, _Call] = {}
        self._output = threading.Lock()
        self._said = ""
        self._turn = threading.Semaphore(_AT_ONCE)
        #: What `initialize` settled: the client, the version, the server's session where it keeps any.
        self._client: dict[str, Any] = {}
        self._version = ""
        self._session = ""
        self._hello = b""
        self._renewal = threading.Lock()

    def run(self) -> None:
        """Serve until stdin ends or a signal comes; what is under way then gets a moment to end."""
        if sys.stdin.isatty():
            _say("this is an MCP server over stdin and stdout: agents start it (see `ai-memory install-mcp --help`)")
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, _end)
        try:
            for line in sys.stdin.buffer:
                if line.strip():
                    self._take(line)
            until = time.monotonic() + _MOMENT
            for call in list(self._calls.values()):
                call.join(max(0.0, until - time.monotonic()))
            # An answer that is being written is in no table any more.
            self._output.acquire(timeout=max(0.0, until - time.monotonic()))
        except SystemExit:
            # A signal asked for the end; what is under way is let go.
            pass
        finally:
            for name in (signal.SIGTERM, signal.SIGINT):
                signal.signal(name, signal.SIG_IGN)
            self._leave()

    def _take(self, line: bytes) -> None:
        """Read one message and set off what it asks for."""
        try:
            message = loads(line.decode("utf-8"))
        except (UnicodeDecodeError, NotJsonError) as error:
            self._refuse(None, _PARSE_ERROR, f"the line is not JSON: {error}")
            return
        if isinstance(message, list):
            self._refuse(None, _INVALID, "batches are not taken: send one message a line")
            return
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            self._refuse(None, _INVALID, 'the message is not a JSON-RPC object ("jsonrpc": "2.0")')
            return
        method, key = message.get("method"), message.get("id")
        if len(line) > _LARGEST:
            self._refuse(key, _INVALID, f"the message is larger than {_LARGEST >> 20} MiB")
        elif method is None and ("result" in message or "error" in message):
            self._tell(message, line)
        elif not isinstance(method, str):
            self._refuse(key, _INVALID, "method must be a text")
        elif method == "notifications/cancelled":
            self._cancel(message)
        elif "id" not in message:
            self._tell(message, line)
        elif not isinstance(key, int | str) or isinstance(key, bool):
            self._refuse(key, _INVALID, "id must be a text or a whole number")
        elif method == "ping":
            self.write(f'{{"jsonrpc":"2.0","id":{dumps(key)},"result":{{}}}}'.encode())
        elif key in self._calls:
            self._refuse(key, _INVALID, "this id is in use: its request is not answered yet")
        else:
            self._begin(key, method, message, line)

    def _begin(self, key: int | str, method: str, message: dict[str, Any], line: bytes) -> None:
        if method == "initialize":
            self._client = _part(_part(message, "params"), "clientInfo")
            self._version = self._session = ""
            self._hello = line
        call = _Call(self, key, method, line)
        self._calls[key] = call
        call.start(lambda: self._answer(call, message), self._patience if method in _GREETINGS else 0.0)

    def _cancel(self, message: dict[str, Any]) -> None:
        key = _part(message, "params").get("requestId")
        call = self._calls.get(key) if isinstance(key, int | str) else None
        if call:
            call.cancel()

    # One message to the server

    def _answer(self, call: _Call, message: dict[str, Any]) -> None:
        """Ask the server, in a thread of the call's own; the call is answered in the end, whatever happens."""
        url = ""
        try:
            with self._turn:
                if call.is_over:
                    return
                url = self._server().rstrip("/").removesuffix("/mcp")
                self._ask(call, message, url)
        except (OSError, HTTPException, ValueError) as error:
            call.fail(self._away(url, error))
        finally:
            call.fail("ai-memory: the bridge failed, and says why on stderr.")

    def _away(self, url: str, error: Exception) -> str:
        place = f"no server answers at {url}: {error}" if url else str(error)
        return (
            f"ai-memory: {place or type(error).__name__}. Start it with `ai-memory serve`; the next call will find it."
        )

    def _ask(self, call: _Call, message: dict[str, Any], url: str) -> None:
        session = self._session
        response = self._send(call, url, call.line, self._headers(message, session))
        if response.status == 404 and session:
            # The server was started anew and knows the session no more.
            response.read()
            self._renew(session, url)
            response = self._send(call, url, call.line, self._headers(message, self._session))
        if response.status == 401:
            file = os.path.join(self._where, "auth-token")
            call.fail(
                f"ai-memory: the server at {url} refused the token (401). Set AI_MEMORY_AUTH_TOKEN to the server's "
                f"token, or write it to {file}."
            )
            return
        if call.method == "initialize":
            self._session = _printable(response.getheader("Mcp-Session-Id") or "")
        if (response.getheader("Content-Type") or "").lower().startswith("text/event-stream"):
            messages = _events(response)
        else:
            messages = iter([response.read()])
        with response:
            for raw in messages:
                self._pass_on(call, raw, response.status)
                if call.is_over:
                    return
        call.fail(f"ai-memory: the server at {url} ended its answer too early.")

    def _pass_on(self, call: _Call, raw: bytes, status: int) -> None:
        """Give the client one message of an answer, if it is one."""
        try:
            message = loads(raw.decode("utf-8"))
        except (UnicodeDecodeError, NotJsonError):
            message = None
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            text = " ".join(raw[:300].decode("utf-8", "replace").split())
            call.fail(f"ai-memory: the server answered {status} and no MCP message: {text}")
        elif "method" in message:
            call.mention(raw)
        elif message.get("id") == call.key:
            if call.method == "initialize":
                self._version = _printable(_part(message, "result").get("protocolVersion"))
            call.finish(raw)
        else:
            # What the door refuses before it reads the message has no id, or one of its own.
            import json

            call.finish(json.dumps({**message, "id": call.key}).encode())

    def _send(
        self,
        call: _Call | None,
        url: str,
        body: bytes | None,
        headers: dict[str, str],
        *,
        method: str = "POST",
        patience: float = _GREETING,
    ) -> HTTPResponse:
        """Send one message; a token that is refused is not the last one."""
        tokens = list(dict.fromkeys([*([self._token] if self._token else []), *reach.tokens(self._where)]))
        for left, token in zip(range(len(tokens) - 1, -1, -1), tokens, strict=True):
            connection = reach.connection(url, patience)
            connection.connect()
            if call:
                call.reached(connection.sock)
            authorised = {**headers, "Authorization": f"Bearer {token}"} if token else headers
            connection.request(method, urlsplit(url).path.rstrip("/") + self._path, body, authorised)
            response = connection.getresponse()
            if response.status != 401 or not left:
                return response
            response.close()
        raise AssertionError("there is always a token to try, be it none")

    def _tell(self, message: dict[str, Any], line: bytes) -> None:
        """Pass on what has no answer, before anything that comes after it."""
        try:
            url = self._server().rstrip("/").removesuffix("/mcp")
            response = self._send(None, url, line, self._headers(message, self._session))
            if response.status >= 400:
                self._note(f"{message.get('method', 'an answer')} was refused: {response.status}")
            response.close()
        except (OSError, HTTPException, ValueError) as error:
            self._note(self._away("", error).removeprefix("ai-memory: "))

    def _renew(self, lost: str, url: str) -> None:
        """Begin a session anew as the client began it, once for all calls that found it lost."""
        with self._renewal:
            if self._session != lost:
                return
            response = self._send(None, url, self._hello, self._headers({}, ""))
            response.read()
            self._session = _printable(response.getheader("Mcp-Session-Id") or "")
            begun = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
            self._send(None, url, begun, self._headers({}, self._session)).close()

    def _headers(self, message: dict[str, Any], session: str) -> dict[str, str]:
        """Say with a message who asks, and from where."""
        params = _part(message, "params")
        meta = _part(params, "_meta")
        client = _part(meta, _META + "clientInfo") or self._client
        name = _token(client.get("name")) or "ai-memory-mcp"
        version = _printable(meta.get(_META + "protocolVersion"))
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            # One request is one connection: whoever closes it means this request.
            "Connection": "close",
            "User-Agent": f"{name}/{_token(client.get('version')) or '0'} (ai-memory mcp)",
            "MCP-Protocol-Version": version or self._version,
            "Mcp-Session-Id": session,
            "X-Memory-Actor-Session-Id": _session_of(name),
            "X-Memory-Routing": self._routing(),
        }
        if version:
            method = str(message.get("method", ""))
            headers["Mcp-Method"] = _safe(method)
            named = params.get(_NAMES.get(method, ""))
            headers["Mcp-Name"] = _safe(named) if isinstance(named, str) else ""
        return {key: value for key, value in headers.items() if value}

    def _routing(self) -> str:
        """Say what the directory is, as the hooks do."""
        try:
            place = look(os.getcwd(), home_dir(), ignore_marker=bool(os.environ.get("AI_MEMORY_IGNORE_MARKER")))
            if not is_recorded(place):
                return ""
            strategy = os.environ.get("AI_MEMORY_PROJECT_STRATEGY", "").strip()
            strategy = strategy or str(reach.client_settings(self._where).get("project_strategy") or "")
            return urlencode(query(place, strategy), errors="replace")
        except (OSError, ValueError) as error:
            # A directory that is gone, or a marker that says something wrong: the project has to be named then.
            self._note(f"the directory says nothing of its project: {error}")
            return ""

    def _leave(self) -> None:
        """End the server's session, where it keeps any."""
        if not self._session:
            return
        try:
            url = self._server().rstrip("/").removesuffix("/mcp")
            self._send(None, url, None, self._headers({}, self._session), method="DELETE", patience=1.0).close()
        except (OSError, HTTPException, ValueError):
            # The server forgets it after a while without being told.
            pass

    # To the client

    def write(self, raw: bytes) -> None:
        """Write one message on one line."""
        with self._output:
            self._write(raw)

    def done(self, call: _Call, raw: bytes | None) -> None:
        """Forget a call that is over, and write its answer; None is no answer.

        In one: the end waits for calls that are not forgotten, and for what is being written.
        """
        with self._output:
            # The id is free again before the client can know it.
            if self._calls.get(call.key) is call:
                del self._calls[call.key]
            if raw is not None:
                self._write(raw)

    def _write(self, raw: bytes) -> None:
        line = raw.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"
        try:
            while line:
                line = line[os.write(1, line) :]
        except OSError:
            # The client closed its end; the end of stdin follows.
            pass

    def _refuse(self, key: object, code: int, text: str) -> None:
        usable = isinstance(key, int | str) and not isinstance(key, bool)
        self.write(_error(key if usable else None, code, text))

    def _note(self, text: str) -> None:
        if text != self._said:
            self._said = text
            _say(text)


class _Call:
    """One request of the client: answered once, or not at all when it was cancelled."""

    def __init__(self, bridge: Bridge, key: int | str, method: str, line: bytes) -> None:
        self.key = key
        self.method = method
        self.line = line
        self.is_over = False
        self._socket: socket.socket | None = None
        self._bridge = bridge
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._thread: threading.Thread | None = None

    def start(self, work: Callable[[], None], patience: float) -> None:
        """Work in a thread; after `patience` seconds (0 is no limit) the call fails."""
        self._thread = threading.Thread(target=work, daemon=True)
        if patience:
            text = f"ai-memory: the server gave no answer within {patience:.0f} s. The next call may find it."
            self._timer = threading.Timer(patience, self._abandon, (text,))
            self._timer.daemon = True
            self._timer.start()
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for the answer."""
        if self._thread:
            self._thread.join(seconds)

    def reached(self, connected: socket.socket) -> None:
        """Take the connection over which the answer will come.

        Raises:
            ConnectionAbortedError: the call is over already.
        """
        self._socket = connected
        if self.is_over:
            connected.close()
            raise ConnectionAbortedError
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self.method not in _GREETINGS:
            connected.settimeout(_ANSWER)

    def mention(self, raw: bytes) -> None:
        """Give the client a message that comes before the answer."""
        if not self.is_over:
            self._bridge.write(raw)

    def finish(self, raw: bytes | None) -> None:
        """Answer, unless that has been done; None is no answer."""
        with self._lock:
            if self.is_over:
                return
            self.is_over = True
        if self._timer:
            self._timer.cancel()
        self._bridge.done(self, raw)

    def fail(self, text: str) -> None:
        """Answer with an error."""
        self.finish(_error(self.key, _FAILED, text))

    def cancel(self) -> None:
        """Let go of the request without an answer; the server sees that nobody waits."""
        self.finish(None)
        self._hang_up()

    def _abandon(self, text: str) -> None:
        self.fail(text)
        self._hang_up()

    def _hang_up(self) -> None:
        try:
            if self._socket:
                # Closing alone would not wake the thread that reads.
                self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            # It was closed just now.
            pass


def _end(*_: object) -> None:
    raise SystemExit


def _events(response: HTTPResponse) -> Iterator[bytes]:
    """Give the data of each event of a stream."""
    data: list[bytes] = []
    while line := response.readline():
        text = line.rstrip(b"\r\n")
        if text.startswith(b"data:"):
            data.append(text[5:].strip())
        elif not text:
            if any(data):
                yield b"\n".join(data)
            data = []


def _error(key: object, code: int, text: str) -> bytes:
    return dumps({"jsonrpc": "2.0", "id": key, "error": {"code": code, "message": text}}).encode()


def _part(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _session_of(client: str) -> str:
    name = next((name for start, name in _SESSIONS.items() if client.lower().startswith(start)), "")
    return _printable(os.environ.get(name, "").strip()) if name else ""


def _printable(value: object) -> str:
    """Give a text that may stand in a header, else ""."""
    return value if isinstance(value, str) and value.isascii() and value.isprintable() else ""


def _safe(value: str) -> str:
    """Write a text for a header as the protocol does."""
    if _printable(value) and value == value.strip() and not value.startswith("=?base64?"):
        return value
    return "=?base64?" + b2a_base64(value.encode("utf-8", "replace"), newline=False).decode() + "?="


def _token(value: object) -> str:
    """Write a name as one word of a header."""
    text = value[:100] if isinstance(value, str) else ""
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign in "._-") else "-" for sign in text)


def _say(text: str) -> None:
    try:
        os.write(2, f"ai-memory: {' '.join(text.split())}\n".encode("utf-8", "replace"))
    except OSError:
        # Nobody reads what is said here.
        pass
