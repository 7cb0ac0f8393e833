"""Running the server: bind, serve until a signal, end with everything on disk."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from aiohttp import web

from ai_memory.config import Settings, in_container, is_loopback
from ai_memory.errors import ConfigError
from ai_memory.memory.memory import Memory
from ai_memory.server.app import create_app
from ai_memory.store import user_tokens
from ai_memory.store.files import write_whole

_log = logging.getLogger(__name__)

_LONGEST_LINE = 128 * 1024
_GRACE_SECONDS = 5.0
_TOKEN_BYTES = 32
#: Of a server of packets alone, in its data directory while it runs.
_NOTE = "ltm-server"


def serve(settings: Settings, *, insecure: bool) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: the settings in force.
        insecure: whether the user asked for an open network address without a token.

    Raises:
        ConfigError: the address would be reachable from the network without a token.
        AiMemoryError: the data directory cannot be opened.
    """
    _log_to_stderr(settings)
    _check_exposure(settings, insecure=insecure)
    _run(settings, packets_only=False)


def serve_packets(settings: Settings) -> None:
    """Serve packets alone until SIGTERM or SIGINT.

    Raises:
        ConfigError: nobody has a token, so that nobody could use it.
        AiMemoryError: the data directory cannot be opened.
    """
    _log_to_stderr(settings)
    _run(settings, packets_only=True)


def noted(settings: Settings) -> dict[str, str] | None:
    """Read what a server of packets alone noted in its data directory: its `url`, and the `token` of `/admin`."""
    try:
        note = json.loads((settings.data_dir / _NOTE).read_text("utf-8"))
        return {"url": str(note["url"]), "token": str(note["token"])}
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _log_to_stderr(settings: Settings) -> None:
    logging.basicConfig(
        level=settings["log_level"].upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # It tells of every changed file, also of each that we write ourselves.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    # The SDK tells of each session's id; and of a message that it cannot read, with the whole of it.
    logging.getLogger("mcp").setLevel(logging.ERROR)
    logging.getLogger("mcp.server.sse").setLevel(logging.CRITICAL)


def _run(settings: Settings, *, packets_only: bool) -> None:
    os.umask(0o077)
    memory = Memory(settings)
    try:
        if packets_only:
            _check_tokens(memory)
        token = settings["auth.bearer_token"].strip() or secrets.token_urlsafe(_TOKEN_BYTES)
        asyncio.run(_serve(memory, packets_token=token if packets_only else ""))
    finally:
        memory.close()
        # Python looks through all that was ever imported before it ends; that took longer than everything before.
        gc.freeze()


def _check_exposure(settings: Settings, *, insecure: bool) -> None:
    host, port = settings.bind
    if settings["auth.bearer_token"].strip() or is_loopback(host):
        return
    if in_container() or insecure:
        _log.warning(
            "NO TOKEN IS SET and the server listens on %s:%s: everybody who reaches this address can read and "
            "write the memory. Set AI_MEMORY_AUTH_TOKEN (`ai-memory generate-auth-token` makes one).",
            host,
            port,
        )
        return
    raise ConfigError(
        f"refusing to listen on {host}:{port} without a token: everybody on the network could read and write the "
        "memory. Set AI_MEMORY_AUTH_TOKEN (`ai-memory generate-auth-token` makes one), bind 127.0.0.1, or say "
        "--allow-insecure-no-auth"
    )


def _check_tokens(memory: Memory) -> None:
    users = memory.settings.user_tokens
    if not memory.accounts.tokens() and not (users.exists() and user_tokens.read(users)):
        raise ConfigError("nobody has a token yet: `ai-memory ltm-server init` makes the first one")


@contextmanager
def _note_left(settings: Settings, port: int, token: str) -> Iterator[None]:
    """Note where a server of packets alone is, and the token of its `/admin`, for the commands of this machine."""
    host = settings.bind[0]
    # What listens everywhere listens here, too.
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - it is asked for, not bound
    file = settings.data_dir / _NOTE
    url = f"http://{f'[{here}]' if ':' in here else here}:{port}"
    write_whole(file, json.dumps({"url": url, "token": token}).encode())
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


async def _serve(memory: Memory, *, packets_token: str) -> None:
    host, port = memory.settings.bind
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in ("SIGTERM", "SIGINT"):
        # Explicit, because a process with id 1 has no default action for them.
        if sys.platform == "win32":
            signal.signal(getattr(signal, name), lambda *_: loop.call_soon_threadsafe(stop.set))
        else:
            loop.add_signal_handler(getattr(signal, name), stop.set)
    app = create_app(memory, bind=f"{host}:{port}", packets_token=packets_token)
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=_GRACE_SECONDS,
        keepalive_timeout=75,
        # A question may be 10,000 characters, of up to nine bytes each in a URL.
        max_line_size=_LONGEST_LINE,
        # The bridge says in a header where it is, and a path may be as long.
        max_field_size=_LONGEST_LINE,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
        address = runner.addresses[0]
        with _note_left(memory.settings, address[1], packets_token) if packets_token else nullcontext():
            _log.info("data directory %s", memory.settings.data_dir)
            _log.info("listening on http://%s:%s", f"[{address[0]}]" if ":" in address[0] else address[0], address[1])
            await stop.wait()
            _log.info("stopping")
    finally:
        await runner.cleanup()
