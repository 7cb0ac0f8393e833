"""A developer's desk: a home with settings of its own, a repository, the agents, and the memory between them."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from model import Step
from programs import PROGRAMS, ROOT
from terminal import Terminal

#: Nothing listens there: an agent that asks its own MCP server, or the internet, is refused at once.
NOWHERE = "http://127.0.0.1:9"
#: The user's own hook; each agent runs it beside ours.
OWN_HOOK = 'echo {} >>"$HOME/own-hooks"'
#: Keeps an agent in the end of its turn for as long as the file is there.
BUSY_HOOK = 'while [ -e "$HOME/busy" ]; do sleep 0.05; done'

CLAUDE_SETTINGS = """\
{
    "model": "claude-opus-5-5",
    "permissions": { "allow": ["Bash", "Read", "Edit", "Write", "mcp__ai-memory"] },
    "hooks": {
        "SessionStart": [ {"hooks": [ {"type": "command", "command": OWN} ]} ],
        "Stop": [ {"hooks": [ {"type": "command", "command": BUSY} ]} ]
    }
}"""
CODEX_HOOKS = """\
{"hooks": {
  "SessionStart": [{"hooks": [{"type": "command", "command": OWN}]}],
  "Stop": [{"hooks": [{"type": "command", "command": BUSY}]}]
}}
"""
CODEX_CONFIG = """\
# my own settings
model = "my-model"
model_provider = "mine"
check_for_update_on_startup = false

[model_providers.mine]
name = "mine"
base_url = "MODEL/v1"
wire_api = "responses"
env_key = "MY_KEY"
request_max_retries = 0
stream_max_retries = 0

[analytics]
enabled = false

[mcp_servers.own]
url = "NOWHERE/mcp"

[projects."REPO"]
trust_level = "trusted"
"""
GEMINI_SETTINGS = """\
{
  "security": { "auth": { "selectedType": "gemini-api-key" }, "folderTrust": { "enabled": false } },
  "general": { "enableAutoUpdate": false, "enableAutoUpdateNotification": false },
  "telemetry": { "enabled": false },
  "privacy": { "usageStatisticsEnabled": false },
  "model": { "name": "gemini-2.5-pro" },
  "hooks": { "SessionStart": [ { "matcher": "*", "hooks": [ { "type": "command", "command": OWN } ] } ] },
  "mcpServers": { "own": { "httpUrl": "NOWHERE/mcp" } }
}
"""
OPENCODE_CONFIG = """\
{
  // my own settings
  "$schema": "https://opencode.ai/config.json",
  "autoupdate": false,
  "share": "disabled",
  "model": "mine/my-model",
  "small_model": "mine/my-model",
  "provider": {"mine": {"npm": "@ai-sdk/openai-compatible", "name": "mine",
    "options": {"baseURL": "MODEL/v1", "apiKey": "mine"},
    "models": {"my-model": {"name": "mine", "tool_call": true, "limit": {"context": 100000, "output": 8000}}}}},
  "mcp": {"own": {"type": "remote", "url": "NOWHERE/mcp", "enabled": true, "oauth": false}}
}
"""
OPENCODE_PLUGIN = """\
import { appendFileSync } from "node:fs"
export const Mine = async () => (appendFileSync(process.env.HOME + "/own-hooks", "opencode\\n"), {})
"""
#: Below the home; the agents themselves write to these while they run.
THEIRS = (".claude.json", ".codex/config.toml")
SETTINGS = (
    ".claude/settings.json",
    ".codex/hooks.json",
    ".gemini/settings.json",
    ".config/opencode/opencode.json",
    *THEIRS,
)
PLUGINS = ".config/opencode/plugins"


class Desk:
    """Everything of one test; `close` ends what still runs."""

    def __init__(self, folder, model, port):
        self.folder = folder
        self.model = model
        self.home = folder / "home"
        self.repo = folder / "shop"
        self.data = folder / "data"
        self.address = f"127.0.0.1:{port}"
        (folder / "tmp").mkdir()
        self._write_settings()
        self._make_repository()

    # The user's own things

    @property
    def environment(self):
        """What the user's shell has; agents reach this machine only."""
        away = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NOWHERE)
        return away | {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.folder / "tmp"),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_DATA_HOME": str(self.home / ".local/share"),
            "XDG_STATE_HOME": str(self.home / ".local/state"),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "ANTHROPIC_API_KEY": "sk-ant-mine-0000",
            "ANTHROPIC_BASE_URL": self.model.url,
            "DISABLE_TELEMETRY": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "MY_KEY": "mine",
            "GEMINI_API_KEY": "mine",
            "GOOGLE_GEMINI_BASE_URL": self.model.url,
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        }

    def _write_settings(self):
        known = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
        claude = {
            "hasCompletedOnboarding": True,
            "lastOnboardingVersion": "99",
            "theme": "dark",
            "numStartups": 5,
            "customApiKeyResponses": {"approved": ["sk-ant-mine-0000"], "rejected": []},
            "projects": {str(self.repo): known},
            "mcpServers": {"own": {"type": "http", "url": NOWHERE + "/mcp"}},
        }
        texts = {
            ".claude/settings.json": CLAUDE_SETTINGS.replace("OWN", json.dumps(OWN_HOOK.format("claude-code"))),
            ".claude.json": json.dumps(claude, indent=2),
            ".codex/hooks.json": CODEX_HOOKS.replace("OWN", json.dumps(OWN_HOOK.format("codex"))),
            ".codex/config.toml": CODEX_CONFIG,
            ".gemini/settings.json": GEMINI_SETTINGS.replace("OWN", json.dumps(OWN_HOOK.format("gemini-cli"))),
            ".config/opencode/opencode.json": OPENCODE_CONFIG,
            f"{PLUGINS}/mine.js": OPENCODE_PLUGIN,
            # Away from npm, OpenCode tries for 70 s to fetch its plugins' types.
            ".npmrc": "fetch-retries=0\n",
        }
        places = {"BUSY": json.dumps(BUSY_HOOK), "MODEL": self.model.url, "NOWHERE": NOWHERE, "REPO": str(self.repo)}
        for name, text in texts.items():
            path = self.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(re.sub("|".join(places), lambda place: places[place[0]], text))

    def _make_repository(self):
        self.repo.mkdir()
        (self.repo / "README.md").write_text("# shop\n")
        who = ["-c", "user.name=dev", "-c", "user.email=dev@example.com"]
        for command in (["init", "-q", "-b", "main"], ["add", "-A"], [*who, "commit", "-qm", "Begin"]):
            subprocess.run(["git", *command], cwd=self.repo, env=self.environment, check=True)

    def settings(self):
        """Read every file of the user's that an install could touch: name -> bytes."""
        names = [*SETTINGS, *(f"{PLUGINS}/{path.name}" for path in (self.home / PLUGINS).iterdir())]
        return {name: (self.home / name).read_bytes() for name in names}

    def own_hooks(self):
        """List the agents whose own hook of the user ran, in order."""
        return (self.home / "own-hooks").read_text().split()

    # The memory

    def memory(self, *arguments):
        """Run a command of ai-memory; gives the finished process."""
        settings = {"PYTHONPATH": str(ROOT), "AI_MEMORY_DATA_DIR": str(self.data)}
        return subprocess.run(
            [sys.executable, "-m", "ai_memory", *arguments],
            cwd=self.repo,
            env=self.environment | settings | {"AI_MEMORY_SERVER_URL": f"http://{self.address}"},
            capture_output=True,
            text=True,
            timeout=60,
        )

    @contextlib.contextmanager
    def server(self):
        """Run the server; it must end well when it is told to."""
        log = self.folder / "server.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "ai_memory", "serve", "--data-dir", str(self.data), "--bind", self.address],
                cwd=self.folder,
                env=self.environment | {"PYTHONPATH": str(ROOT)},
                stderr=out,
            )
        try:
            until(lambda: process.poll() is not None or self.memory("handoffs").returncode == 0, "the server answers")
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()
            assert process.wait(20) == 0, log.read_text()
        assert "Traceback" not in log.read_text(), log.read_text()

    def install(self, *agents):
        """Wire the agents as a user does; gives what the program said."""
        named = [word for agent in agents for word in ("--agent", agent)]
        to = ["--server-url", f"http://{self.address}", "--data-dir", str(self.data)]
        return self._change("install-hooks", *named, "--apply", *to)

    def install_mcp(self, client, *options):
        """Add the MCP server to a client as a user does; gives what the program said."""
        to = ["--server-url", f"http://{self.address}", "--data-dir", str(self.data)]
        done = self.memory("install-mcp", "--client", client, "--apply", *options, *to)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def uninstall(self):
        """Remove ai-memory from all agents; gives what the program said."""
        return self._change("uninstall", "--apply", "--data-dir", str(self.data))

    def _change(self, *arguments):
        before = self.settings()
        done = self.memory(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        after = self.settings()
        assert {name: after[name] for name in THEIRS} == {name: before[name] for name in THEIRS}
        return done.stdout

    def waiting(self):
        """List the events that wait in the spool."""
        return list((self.data / "hook-spool").glob("*.event"))

    def holds(self, text):
        """Tell whether an event with the text was kept: it waits in the spool, or the server has it."""
        files = [*self.waiting(), *(self.data / "raw").rglob("*.jsonl")]
        return any(text.encode() in _content(path) for path in files)

    def events(self, agent):
        """List the kinds of the events that the server has stored of an agent, oldest first."""
        lines = [line for path in (self.data / "raw").rglob("*.jsonl") for line in path.read_text().splitlines()]
        events = [json.loads(line) for line in lines if '"kind"' in line]
        return [event["kind"] for event in sorted(events, key=lambda event: event["at"]) if event["agent"] == agent]

    def story(self):
        """Tell what the hooks, the server and the agents said, for whoever has to explain a failure."""
        files = [self.data / "hook-state" / "client.log", *sorted(self.folder.glob("*.log"))]
        return "\n".join(f"== {path.name}\n{_content(path)[-4000:].decode(errors='replace')}" for path in files)

    # The agents

    def approve_codex_hooks(self):
        """Approve in Codex what a user approves with /hooks: every hook that it lists."""
        hooks = self._ask_codex("hooks/list", {"cwds": [str(self.repo)]})["data"][0]["hooks"]
        states = {hook["key"]: {"trusted_hash": hook["currentHash"]} for hook in hooks}
        edit = {"keyPath": "hooks.state", "value": states, "mergeStrategy": "upsert"}
        self._ask_codex("config/batchWrite", {"edits": [edit]})

    def _ask_codex(self, method, parameters):
        process = subprocess.Popen(
            [PROGRAMS["codex"].path, "app-server"],
            cwd=self.repo,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        with process:
            client = {"name": "user", "title": "user", "version": "0"}
            hello = {"clientInfo": client, "capabilities": {"experimentalApi": True}}
            _ask(process, "initialize", hello)
            answer = _ask(process, method, parameters)
            process.stdin.close()
            process.wait(20)
        return answer

    def start(self, agent, prompt, *, going_on=False):
        """Start an agent with a prompt; `going_on` continues its last session (Claude Code). Gives the process."""
        program = str(PROGRAMS[agent].path)
        commands = {
            "claude-code": [program, "-p", prompt, *(["--continue"] if going_on else []), "--output-format", "json"],
            "codex": [program, "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", prompt],
            "gemini-cli": [program, "-p", prompt, "--yolo"],
            # A message with spaces that is an argument would arrive in quotes.
            "opencode": ["/bin/sh", "-c", f"printf %s {shlex.quote(prompt)} | exec {shlex.quote(program)} run --auto"],
        }
        with (self.folder / f"{agent}.log").open("ab") as log:
            return subprocess.Popen(
                commands[agent],
                cwd=self.repo,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, agent, *steps, asks="Where were we?", going_on=False):
        """Let an agent do one prompt, to the end; gives the requests that its model got."""
        script = self.model.script(*steps)
        process = self.start(agent, f"{asks} {script.tag}", going_on=going_on)
        try:
            code = process.wait(90)
        finally:
            _kill_group(process)
        assert code == 0, (self.folder / f"{agent}.log").read_text()[-3000:]
        assert script.requests, f"the model of {agent} was not asked"
        return script.requests

    def window(self, agent, prompt, *options):
        """Open an agent in a terminal, with its first prompt; gives the terminal."""
        return Terminal([PROGRAMS[agent].path, *options, prompt], cwd=self.repo, env=self.environment)

    def kill(self, process):
        """Kill an agent with all that is in its process group."""
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL

    # What runs

    def processes(self):
        """List the processes that were started at this desk, however they have detached: id -> command."""
        mark = b"HOME=" + bytes(self.home)
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            if mark in _content(folder / "environ").split(b"\0"):
                command = _content(folder / "cmdline")
                found[int(folder.name)] = " ".join(command.decode(errors="replace").split("\0"))
        return found

    def close(self):
        """End everything that was started at this desk."""
        (self.home / "busy").unlink(missing_ok=True)
        for how in (signal.SIGTERM, signal.SIGKILL):
            for process in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, how)
            with contextlib.suppress(AssertionError):
                until(lambda: not self.processes(), "everything has ended", seconds=5)
        assert self.processes() == {}


def until(seen, what, seconds=30):
    """Look again and again until `seen()`; a test fails when it never is."""
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, f"not seen within {seconds} s: {what}"
        time.sleep(0.02)


def answers(text, *, after=None):
    """Give the steps of a small piece of work that ends with this answer."""
    return Step(shell="ls"), Step(shell="printf '# tokenizer\\n' >tokenizer.py"), Step(text, after=after)


def _kill_group(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def _content(path):
    # Events and processes come and go while somebody looks.
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _ask(process, method, parameters):
    process.stdin.write(json.dumps({"id": 1, "method": method, "params": parameters}) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        answer = json.loads(line)
        if answer.get("id") == 1 and "method" not in answer:
            assert "result" in answer, answer
            return answer["result"]
    raise AssertionError(f"codex app-server did not answer {method}")
