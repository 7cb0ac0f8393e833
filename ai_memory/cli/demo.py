"""`demo`: a real server, a recorded session through the real hooks, and what the next agent is told."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import click

import ai_memory
from ai_memory.cli.remote import Remote
from ai_memory.cli.shown import marked
from ai_memory.client.agents import AGENTS
from ai_memory.config import load_settings, search_path
from ai_memory.errors import AiMemoryError, ServerUnreachableError
from ai_memory.install.staging import Connection, bundle_folder, stage, staged_files

_WIDTH = 78
#: Where the package is, for processes that do not start in the checkout.
_CHECKOUT = str(Path(ai_memory.__file__).parent.parent)
_PATIENCE_SECONDS = 10.0
_T = TypeVar("_T")


class DemoError(AiMemoryError):
    """A step of the demo was not seen to work."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """Where the demo plays: its folder, repository, data directory, and the server's address."""

    folder: Path
    repo: Path
    data_dir: Path
    url: str

    @property
    def environment(self) -> dict[str, str]:
        """What the hooks and the server get: a home of their own, so that nothing of the user's is touched."""
        return {
            "PATH": search_path(),
            "HOME": str(self.folder / "home"),
            "TZ": "UTC",
            "LANG": "C.UTF-8",
        }


@click.command()
@click.option("--keep", is_flag=True, help="Leave the server and its data, and say what to try next.")
@click.pass_context
def demo(ctx: click.Context, keep: bool) -> None:
    """See the whole thing work in a few seconds, on data of its own.

    Starts a real server on a free port of this machine, plays a recorded Claude Code
    session through the real hook scripts, and shows what came of it. Your own data and
    settings are not touched; everything is removed afterwards.
    """
    del ctx
    folder = Path(tempfile.mkdtemp(prefix="ai-memory-demo-"))
    set_ = _Stage(folder, folder / "shop", folder / "data", f"http://127.0.0.1:{_free_port()}")
    with _cleaned(folder, keep=keep), _server(set_, keep=keep) as server:
        _play(set_)
        if keep:
            _what_next(set_, server)
        else:
            click.echo("\nThat was real, and is gone now; `ai-memory demo --keep` leaves it running.")


def _play(set_: _Stage) -> None:
    story = json.loads(resources.files("ai_memory.cli").joinpath("demo_story.json").read_text("utf-8"))
    remote = Remote(load_settings(set_.data_dir, flags={"server_url": set_.url}))
    _prepare(set_)
    _heading("1  Claude Code works in ~/shop")
    for step in story["claude-code"]:
        answer = _hook(set_, "claude-code", step)
        _check(answer == "{}", f"the hook printed {answer!r}")
        click.echo(f"   {step['event']:<15} {_gist(step['payload'])}")
    stored = len(story["claude-code"])
    _until(lambda: remote.get("/admin/status")["ingest"].get("stored") == stored, "all events are stored")

    _heading("2  The session became a page, in git")
    page = _until(lambda: _page(set_, f"observations: {stored}\n"), "the session page is written")
    _block(page.split("---\n", 2)[2].split("## Session metadata")[0])
    log = _until(lambda: _git(set_, "log", "--format=%h %an: %s"), "the page is committed")
    _check("Invoice totals" in log, "the commit names what was asked")
    click.echo(click.style("   $ git log", bold=True))
    _block(log)

    _heading("3  What the server says")
    status = _program(set_, "status")
    _check("1 open" in status, "the status shows the open handoff")
    _block(status)

    _heading("4  Codex starts in the same directory; its model is told")
    (start,) = story["codex"]
    said = json.loads(_hook(set_, "codex", start))
    text = said.get("hookSpecificOutput", {}).get("additionalContext", "")
    _check("partial refunds still come out one cent high" in text, "Codex got the handoff")
    _block(text)
    _until(lambda: remote.get("/admin/handoffs")["handoffs"] == [] or None, "the handoff is taken, by Codex alone")

    _heading("5  What should last is written down, as pages that link to each other")
    for told in story["pages"]:
        place = {"workspace": "default", "project": "shop"}
        remote.post("/admin/write-page", {**place, **told, "agent": "codex"})
        click.echo(f"   {told['path']:<32} {told['title']}")
    found = remote.get("/admin/search", {"workspace": "default", "project": "shop", "q": "a cent too high"})
    _check(found[0]["path"] == "gotchas/partial-refunds.md", "the search finds the page")
    click.echo(click.style("   $ ai-memory search", bold=True) + ' "a cent too high"')
    _block(f"{found[0]['path']}: {marked(found[0]['snippet'])}")


def _prepare(set_: _Stage) -> None:
    set_.repo.mkdir()
    (set_.folder / "home").mkdir()
    _git_in(set_.repo, "init", "--quiet", "--initial-branch=main")
    _git_in(set_.repo, "remote", "add", "origin", "git@github.com:acme/shop.git")
    for name in ("claude-code", "codex"):
        stage(staged_files(AGENTS[name], set_.data_dir, bundle_folder(), Connection(server_url=set_.url)))


def _hook(set_: _Stage, agent: str, step: dict[str, Any]) -> str:
    """Run an installed hook as the agent does, payload on stdin; gives what it printed."""
    text = json.dumps(step["payload"]).replace("{repo}", str(set_.repo)).replace("{home}", str(set_.folder / "home"))
    command = shlex.join([str(set_.data_dir / "hooks" / agent / "hook.sh"), step["event"]])
    done = subprocess.run(
        ["sh", "-c", command],
        input=text.encode(),
        capture_output=True,
        cwd=set_.repo,
        env=set_.environment,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
    _check(done.returncode == 0, f"the {agent} hook exited with {done.returncode}")
    _check(not done.stderr, f"the {agent} hook said: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout.decode().strip()


@contextmanager
def _server(set_: _Stage, *, keep: bool) -> Iterator[subprocess.Popen[bytes]]:
    log = (set_.folder / "server.log").open("wb")
    address = set_.url.removeprefix("http://")
    process = subprocess.Popen(
        [sys.executable, "-m", "ai_memory", "serve", "--data-dir", str(set_.data_dir), "--bind", address],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=keep,
        env={**set_.environment, "PYTHONPATH": _CHECKOUT},
    )
    log.close()
    try:
        remote = Remote(load_settings(set_.data_dir, flags={"server_url": set_.url}))
        _until(lambda: _answers(remote), "the server answers", watch=process, log=set_.folder / "server.log")
        yield process
    except BaseException:
        keep = False
        raise
    finally:
        if not keep:
            process.send_signal(signal.SIGTERM)
            code = process.wait(_PATIENCE_SECONDS)
            _check(code == 0, f"the server ended with exit code {code}")


@contextmanager
def _cleaned(folder: Path, *, keep: bool) -> Iterator[None]:
    try:
        yield
    except BaseException:
        keep = False
        raise
    finally:
        if not keep:
            _remove(folder)


def _remove(folder: Path) -> None:
    # The detached drainer of the last hook may still be writing its note.
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def _answers(remote: Remote) -> bool | None:
    try:
        return bool(remote.get("/healthz")["status"] == "ok")
    except ServerUnreachableError:
        return None


def _until(
    ask: Callable[[], _T | None], what: str, *, watch: subprocess.Popen[bytes] | None = None, log: Path | None = None
) -> _T:
    """Ask again until there is an answer; a step that never comes is the end of the demo."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and (watch is None or watch.poll() is None):
        answer = ask()
        if answer:
            return answer
        time.sleep(0.02)
    said = f"\n{log.read_text('utf-8', 'replace')}" if log else ""
    raise DemoError(f"not seen within {_PATIENCE_SECONDS:.0f} s: {what}{said}")


def _check(seen: bool, what: str) -> None:
    if not seen:
        raise DemoError(f"the demo failed: {what}")


def _page(set_: _Stage, having: str) -> str | None:
    for file in (set_.data_dir / "wiki").glob("*/*/sessions/*.md"):
        text = file.read_text("utf-8")
        if having in text:
            return text
    return None


def _git(set_: _Stage, *arguments: str) -> str | None:
    return _git_in(set_.data_dir / "wiki", *arguments, check=False) or None


def _git_in(folder: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False, timeout=_PATIENCE_SECONDS)
    if check and done.returncode:
        raise DemoError(f"git {arguments[0]} failed: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout.decode("utf-8", "replace")


def _program(set_: _Stage, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ai_memory", "--data-dir", str(set_.data_dir), *arguments],
        capture_output=True,
        check=False,
        timeout=_PATIENCE_SECONDS,
        env={**set_.environment, "AI_MEMORY_SERVER_URL": set_.url, "PYTHONPATH": _CHECKOUT},
    )
    _check(done.returncode == 0, f"`ai-memory {arguments[0]}` failed: {done.stderr.decode().strip()}")
    return done.stdout.decode()


def _gist(payload: dict[str, Any]) -> str:
    tool = payload.get("tool_input") or {}
    text = (
        payload.get("prompt") or payload.get("last_assistant_message") or tool.get("command") or tool.get("file_path")
    )
    words = str(text or payload.get("source") or payload.get("reason") or "").replace("{repo}/", "")
    name = f"{payload['tool_name']} " if "tool_name" in payload else ""
    failed = " (failed)" if payload["hook_event_name"] == "PostToolUseFailure" else ""
    return textwrap.shorten(f"{name}{words}{failed}", _WIDTH - 20, placeholder=" …")


def _heading(text: str) -> None:
    click.echo("\n" + click.style(f"── {text} " + "─" * (_WIDTH - len(text) - 4), fg="cyan", bold=True))


def _block(text: str) -> None:
    for line in text.strip().splitlines():
        for row in textwrap.wrap(line, _WIDTH - 5, break_on_hyphens=False) or [""]:
            click.echo(click.style("   │ ", dim=True) + row)


def _what_next(set_: _Stage, server: subprocess.Popen[bytes]) -> None:
    _heading("Left running for you")
    prefix = f"AI_MEMORY_SERVER_URL={set_.url} ai-memory --data-dir {set_.data_dir}"
    click.echo(f"   {click.style(f'{set_.url}/web', bold=True)}   the wiki, in your browser")
    for line in (
        f"{prefix} status",
        f"{prefix} where {set_.repo}",
        f'{prefix} handoff begin "Try the refunds first" --cwd {set_.repo}',
        f"git -C {set_.data_dir}/wiki log --stat",
        f"kill {server.pid} && rm -r {set_.folder}",
    ):
        click.echo(f"   {line}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
