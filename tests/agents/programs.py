"""The agents' real programs, pinned, from npm into a folder that is kept."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = Path(os.environ.get("AI_MEMORY_AGENTS_DIR") or ROOT / ".work" / "agents")
#: What npm says when the registry is out of reach, as opposed to an answer of it that is wrong.
AWAY = re.compile(r"E(NOTFOUND|AI_AGAIN|CONNREFUSED|CONNRESET|TIMEDOUT|NETUNREACH|HOSTUNREACH)|ERR_SOCKET_TIMEOUT")


@dataclass(frozen=True)
class Program:
    """One agent's program and the npm package that brings it."""

    agent: str
    name: str
    package: str
    version: str

    @property
    def path(self):
        """Where the program is, once installed."""
        return FOLDER / self.agent / "node_modules" / ".bin" / self.name

    def is_installed(self):
        """Tell whether the pinned version is there."""
        about = FOLDER / self.agent / "node_modules" / self.package / "package.json"
        return self.path.exists() and json.loads(about.read_text())["version"] == self.version


PROGRAMS = {
    program.agent: program
    for program in (
        Program("claude-code", "claude", "@anthropic-ai/claude-code", "2.1.328"),
        Program("codex", "codex", "@openai/codex", "0.169.0"),
        Program("gemini-cli", "gemini", "@google/gemini-cli", "0.61.0"),
        Program("opencode", "opencode", "opencode-ai", "1.18.33"),
    )
}


#: For clients that speak over stdin and stdout alone; not ours, which they may have already.
BRIDGE = Program("mcp-remote", "mcp-remote", "mcp-remote", "0.15.1")


def install_all(wanted=tuple(PROGRAMS.values())):
    """Install what is missing; skips the tests when it cannot be had."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.skip(f"the agents' programs need {tool}, which is not on PATH")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        # Tests run in several processes, and npm cannot install into one folder twice at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for program in wanted:
            if not program.is_installed():
                _install(program)


def _install(program):
    folder = FOLDER / program.agent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true}\n')
    options = ["--no-audit", "--no-fund", "--no-update-notifier", "--fetch-retries=1", "--loglevel=error"]
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            ["npm", "install", f"--cache={cache}", *options, f"{program.package}@{program.version}"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=600,
        )
    if done.returncode and AWAY.search(done.stderr):
        pytest.skip(f"npm cannot be reached: {done.stderr.strip().splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    assert program.is_installed(), f"npm installed another {program.package} than {program.version}"
