"""One event sent through an installed hook exactly as the agent would, and looked for at the server.

"Installed" that captures nothing looks the same as "installed" until somebody asks; so the installer asks.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import time
import uuid
from pathlib import Path

from ai_memory.client import deliver, reach, spool
from ai_memory.client.agents import Agent
from ai_memory.config import plain_environment
from ai_memory.install.command_line import HookCommand
from ai_memory.install.target import SelfTest

#: Seconds that an event may take from the hook to the server.
PATIENCE = 5.0


def verify(agent: Agent, data_dir: Path, *, patience: float = PATIENCE) -> SelfTest:
    """Send one test event through the agent's installed command and wait for it at the server.

    Args:
        agent: whose hook to run.
        data_dir: our data directory, staged.
        patience: seconds to wait for the event.
    """
    nonce = secrets.token_hex(8)
    command = HookCommand(data_dir, agent.name, "notification")
    broken = _run(command, agent, nonce)
    if broken:
        return SelfTest("failed", f"The hook did not work: {broken}")
    return _wait(data_dir, nonce, time.monotonic() + patience)


def _run(command: HookCommand, agent: Agent, nonce: str) -> str:
    """Run the hook as the agent does; gives what was wrong, or ""."""
    # The folder of the test must not be a place where nothing is ever recorded, such as the home directory.
    event = {
        "session_id": str(uuid.uuid4()),
        "cwd": str(command.data_dir),
        "hook_event_name": "Notification",
        "message": "ai-memory install-hooks is testing this hook.",
        "_ai_memory_self_test": nonce,
    }
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", str(command)],
            input=json.dumps(event).encode(),
            capture_output=True,
            cwd=command.data_dir,
            # An agent is started elsewhere: what this shell says of server and token must not make the test green.
            env=plain_environment(),
            timeout=10,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "it did not end within 10 s."
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode != 0:
        return f"it ended with exit code {done.returncode}. {said}".strip()
    wanted = b"{}" if agent.start_reply == "hook-json" else b""
    if done.stdout.strip() != wanted:
        return f"it printed {done.stdout[:80]!r} where the agent expects {wanted!r}. {said}".strip()
    return ""


def _wait(data_dir: Path, nonce: str, deadline: float) -> SelfTest:
    server = str(reach.client_settings(str(data_dir)).get("server_url") or reach.DEFAULT_URL)
    answer = _ask(server, data_dir, nonce)
    # After an unreachable server hooks wait a while before they try again; the installer does not.
    push = deadline - PATIENCE / 2
    while answer == 404 and time.monotonic() < deadline:
        time.sleep(0.1)
        if time.monotonic() > push:
            deliver.drain(str(data_dir), deadline)
            push = deadline
        answer = _ask(server, data_dir, nonce)
    waiting = _is_spooled(data_dir, nonce)
    if answer == 200:
        return SelfTest("arrived", f"The test event reached the server at {server}.")
    if answer == 401:
        return SelfTest("failed", f"The server at {server} refused the token. Give the right --auth-token.")
    if answer is None and waiting:
        return SelfTest(
            "spooled",
            f"No server answers at {server}: the test event is spooled and will be delivered when it runs. "
            "Start it with: ai-memory serve",
        )
    where = "is still in the spool" if waiting else "is not in the spool either"
    heard = "does not answer" if answer is None else f"answered {answer}"
    return SelfTest("failed", f"The test event did not arrive: {server} {heard}, and the event {where}.")


def _ask(server: str, data_dir: Path, nonce: str) -> int | None:
    """Ask whether the event arrived: 200 yes, 404 not yet; None when no server answers."""
    status = None
    for token in reach.tokens(str(data_dir)):
        try:
            status = reach.ask(server, f"/admin/self-test?nonce={nonce}", token=token, seconds=2).status
        except reach.UnreachableError:
            return None
        if status != 401:
            break
    return status


def _is_spooled(data_dir: Path, nonce: str) -> bool:
    folder = Path(spool.folder(str(data_dir)))
    return any(nonce.encode() in _content(folder / name) for name in spool.names(str(data_dir)))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # delivered between the listing and the reading
        return b""
