"""A server of the bridge's own, for a machine on which none runs: started when it is needed, stopped at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from .reach import UnreachableError, ask

#: Says where the server is that a bridge started: the next bridge on the same data directory uses that one.
_FILE = "own-server"
_HEARD = "listening on "
#: How `serve` says that another server has the data directory.
_TAKEN = "is in use by"
_STARTING = 30.0
#: Everything that came in is written by then.
_ENDING = 10.0


class OwnServer:
    """The server of a data directory: the one that runs there, else one that is started here.

    An address alone does not tell which directory its server works in; only a start that is refused does.
    """

    def __init__(self, command: list[str], where: str, known: str) -> None:
        """Compose; nothing is started yet.

        Args:
            command: runs a server on a port of its choice.
            where: the data directory.
            known: the address of the server of this machine, which may have the directory.
        """
        self._command = command
        self._file = os.path.join(where, _FILE)
        self._known = known
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""
        self._others = ""
        self._last_words = ""

    def url(self) -> str:
        """Give the address of a server that runs, once there is one.

        Raises:
            UnreachableError: none runs and none could be started.
        """
        with self._lock:
            if self._process and self._process.poll() is None:
                return self._url
            for url in (self._others, self._noted()):
                if url and _answers(url):
                    return url
            return self._started()

    def stop(self) -> None:
        """Stop the server if it was started here; it writes down what it holds first."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                return
            self._process.terminate()
            try:
                self._process.wait(_ENDING)
            except subprocess.TimeoutExpired:
                # It is still writing, and ends by itself.
                pass
            if self._url and self._noted() == self._url:
                os.unlink(self._file)

    def _started(self) -> str:
        self._url = self._last_words = ""
        said, words = os.pipe()
        with open(words, "wb") as stderr:
            null = subprocess.DEVNULL
            self._process = subprocess.Popen(self._command, stdin=null, stdout=null, stderr=stderr)
        heard = threading.Event()
        threading.Thread(target=self._listen, args=(said, heard), daemon=True).start()
        heard.wait(_STARTING)
        if self._url:
            with open(self._file, "w", encoding="utf-8") as file:
                file.write(self._url)
            return self._url
        self._process.terminate()
        if _TAKEN in self._last_words and _answers(self._known):
            self._others = self._known
            return self._known
        raise UnreachableError(f"no server could be started: {self._last_words or 'it says nothing'}")

    def _listen(self, said: int, heard: threading.Event) -> None:
        """Pass on what the server says, until it ends."""
        with open(said, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                sys.stderr.write(line)
                sys.stderr.flush()
                self._last_words = line.strip()
                if _HEARD in line and not self._url:
                    self._url = line.partition(_HEARD)[2].strip()
                    heard.set()
        heard.set()

    def _noted(self) -> str:
        try:
            with open(self._file, encoding="utf-8") as file:
                return file.read().strip()
        except OSError:
            return ""


def _answers(url: str) -> bool:
    try:
        return ask(url, "/healthz", token="", seconds=1.0).status == 200
    except UnreachableError:
        return False
