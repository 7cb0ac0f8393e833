"""Running the server: bind, serve until a signal, end with everything on disk."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import logging
import os
import signal
import sys

from aiohttp import web

from ai_memory.config import Settings, in_container
from ai_memory.errors import ConfigError
from ai_memory.memory.memory import Memory
from ai_memory.server.app import create_app

_log = logging.getLogger(__name__)

_LONGEST_LINE = 128 * 1024
_GRACE_SECONDS = 5.0


def serve(settings: Settings, *, insecure: bool) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: the settings in force.
        insecure: whether the user asked for an open network address without a token.

    Raises:
        ConfigError: the address would be reachable from the network without a token.
        AiMemoryError: the data directory cannot be opened.
    """
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
    _check_exposure(settings, insecure=insecure)
    os.umask(0o077)
    memory = Memory(settings)
    try:
        asyncio.run(_serve(memory))
    finally:
        memory.close()
        # Python looks through all that was ever imported before it ends; that took longer than everything before.
        gc.freeze()


def _check_exposure(settings: Settings, *, insecure: bool) -> None:
    host, port = settings.bind
    if settings["auth.bearer_token"].strip() or _is_loopback(host):
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


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _serve(memory: Memory) -> None:
    host, port = memory.settings.bind
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in ("SIGTERM", "SIGINT"):
        # Explicit, because a process with id 1 has no default action for them.
        if sys.platform == "win32":
            signal.signal(getattr(signal, name), lambda *_: loop.call_soon_threadsafe(stop.set))
        else:
            loop.add_signal_handler(getattr(signal, name), stop.set)
    app = create_app(memory, bind=f"{host}:{port}")
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
        _log.info("data directory %s", memory.settings.data_dir)
        _log.info("listening on http://%s:%s", f"[{address[0]}]" if ":" in address[0] else address[0], address[1])
        await stop.wait()
        _log.info("stopping")
    finally:
        await runner.cleanup()
