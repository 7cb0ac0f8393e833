"""How long an agent waits for a capture hook: the real stub as a process, with the server in every condition.

    python bin/_bench/hooks.py [--runs N] [--json]

Each figure is wall time from starting the stub to its end, output read, as an agent waits for it. The reference,
taken in turn with every run so that both meet the same machine, is the time of an empty `sh` plus an empty isolated
`python3`: what any hook written in Python costs at least. Runs are 50 ms apart, closer than the tool calls of agents.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAUSE = 0.05
#: condition -> (event, payload bytes, allowed p50 and p95 in milliseconds).
BUDGETS = {
    "server up": ("post-tool-use", 2_000, 10, 20),
    "server up, stop": ("stop", 2_000, 10, 20),
    "server down": ("post-tool-use", 2_000, 10, 20),
    "server down, stop": ("stop", 2_000, 10, 20),
    "answer after 5 s": ("post-tool-use", 2_000, 10, 20),
    "5 MB payload": ("post-tool-use", 5_000_000, 100, 100),
    "session start, server up": ("session-start", 2_000, 1000, 1000),
    "session start, down": ("session-start", 2_000, 1000, 1000),
    "session start, 5 s": ("session-start", 2_000, 1000, 1000),
}


class _Door(BaseHTTPRequestHandler):
    delay = 0.0

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, body: bytes, kind: str) -> None:
        time.sleep(self.delay)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Hand over a context of the usual size."""
        self._answer(b"context " * 500, "text/plain")

    def do_POST(self) -> None:
        """Take a batch."""
        items = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(json.dumps({"accepted": len(items)}).encode(), "application/json")


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A hook that gave up waiting is part of the measurement."""


def serve(port: int, delay: float) -> None:
    """Be the server, in a process of its own."""
    _Door.delay = delay
    _Quiet(("127.0.0.1", port), _Door).serve_forever()


def free_port() -> int:
    """Find a port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stage(folder: Path, python: str) -> Path:
    """Lay out the stubs and the client as the installer does; give the stub."""
    hooks = folder / "hooks"
    shutil.copytree(ROOT / "hooks" / "claude-code", hooks / "claude-code")
    shutil.copytree(ROOT / "ai_memory" / "client", hooks / "client", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([python, "-m", "compileall", "-q", hooks / "client"], check=True)
    (hooks / "python").write_text(python + "\n")
    return hooks / "claude-code" / "hook.sh"


def timed(command: list[str], payload: bytes, environment: dict[str, str]) -> float:
    """Run a command as an agent does; give the milliseconds until its output is complete."""
    started = time.perf_counter()
    subprocess.run(command, input=payload, capture_output=True, env=environment, check=True)
    return (time.perf_counter() - started) * 1000


def quantile(values: list[float], share: float) -> float:
    """Give the value below which this share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def measure(condition: str, runs: int, python: str) -> dict[str, float | str | bool]:
    """Measure one condition in a fresh data directory."""
    stem, size, p50, p95 = BUDGETS[condition]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        project = folder / "home" / "src" / "shop"
        (project / ".git").mkdir(parents=True)
        (project / ".git" / "config").write_text('[remote "origin"]\n\turl = git@example.org:acme/shop.git\n')
        stub = stage(folder / "data", python)
        port = free_port()
        (folder / "data" / "client.json").write_text(json.dumps({"server_url": f"http://127.0.0.1:{port}"}))
        server = None
        if "down" not in condition:
            delay = "5" if "5 s" in condition else "0"
            server = subprocess.Popen([sys.executable, __file__, "--serve", str(port), delay])
            wait_for(port)
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home")}
        body = {"session_id": "bench", "cwd": str(project), "tool_name": "Bash", "tool_response": "a b\n" * (size // 5)}
        payload = json.dumps(body).encode()
        hooks, references = [], []
        try:
            for _ in range(runs):
                reference = timed(["sh", "-c", ":"], b"", environment)
                references.append(reference + timed([python, "-I", "-S", "-c", "pass"], b"", environment))
                hooks.append(timed([str(stub), stem], payload, environment))
                time.sleep(PAUSE)
        finally:
            if server:
                server.terminate()
                server.wait()
    found = quantile(hooks, 0.5), quantile(hooks, 0.95), quantile(references, 0.5), quantile(references, 0.95)
    return {
        "condition": condition,
        "p50_ms": found[0],
        "p95_ms": found[1],
        "reference_p50_ms": found[2],
        "reference_p95_ms": found[3],
        "ratio_p50": found[0] / found[2],
        "within_budget": found[0] <= p50 and found[1] <= p95,
    }


def wait_for(port: int) -> None:
    """Wait until the server listens; give up after five seconds."""
    end = time.monotonic() + 5
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def main() -> int:
    """Print a row for each condition; 1 when one is over its budget."""
    parser = argparse.ArgumentParser(description="Foreground wall time of the capture hooks.")
    parser.add_argument("--runs", type=int, default=100, help="runs of each condition")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(int(chosen.serve[0]), float(chosen.serve[1]))
    python = os.path.realpath(sys.executable)
    rows = [measure(condition, chosen.runs, python) for condition in BUDGETS]
    if chosen.json:
        print(json.dumps(rows, indent=2))
    else:
        print(f"{'':26}{'p50 ms':>8}{'p95 ms':>8}{'reference p50':>15}{'p95':>7}{'ratio':>7}")
        for row in rows:
            verdict = "" if row["within_budget"] else "  over budget"
            print(
                f"{row['condition']:26}{row['p50_ms']:8.1f}{row['p95_ms']:8.1f}{row['reference_p50_ms']:15.1f}"
                f"{row['reference_p95_ms']:7.1f}{row['ratio_p50']:7.2f}{verdict}"
            )
    return 0 if all(row["within_budget"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
