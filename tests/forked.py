"""Our programs as processes of their own, forked from one that has imported everything: half a second less for each."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ai_memory.cli
import ai_memory.server.app  # `serve` imports it when it is called

ROOT = Path(__file__).resolve().parent.parent
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


def ai_memory_program(*arguments):
    """Be the program `ai-memory`."""
    sys.argv = ["ai-memory", *arguments]
    ai_memory.cli.main()


def _live(program, arguments, environment, folder, files):
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    for number, file in enumerate(files):
        opened = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    program(*arguments)


class Forked:
    """A process that calls one of our functions, with the methods of `Popen` that tests need."""

    def __init__(self, program, *arguments, env, cwd=ROOT, stdin=os.devnull, stdout=os.devnull, stderr=os.devnull):
        files = [str(file) for file in (stdin, stdout, stderr)]
        self._process = _CONTEXT.Process(
            target=_live, args=(program, arguments, dict(env), str(cwd), files), daemon=True
        )
        self._process.start()
        self.pid = self._process.pid

    def poll(self):
        return self._process.exitcode

    def wait(self, seconds):
        self._process.join(seconds)
        if self.poll() is None:
            raise subprocess.TimeoutExpired("a forked program", seconds)
        return self.poll()

    def terminate(self):
        os.kill(self.pid, signal.SIGTERM)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)


def run(program, *arguments, env, cwd=ROOT, stdin=b"", seconds=60):
    """Run one to its end; gives what `subprocess.run` gives when it captures the output."""
    with tempfile.TemporaryDirectory(prefix="ai-memory-forked-") as folder:
        files = [Path(folder) / name for name in ("stdin", "stdout", "stderr")]
        files[0].write_bytes(stdin)
        files[1].touch()
        files[2].touch()
        process = Forked(program, *arguments, env=env, cwd=cwd, stdin=files[0], stdout=files[1], stderr=files[2])
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(arguments, code, files[1].read_bytes(), files[2].read_bytes())
