"""A window with a program in it, that can be closed."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

#: The child makes the window its controlling terminal: only then does closing it reach the program.
LOGIN = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"
ROWS, COLUMNS = 50, 140
#: What a program asks its terminal before it draws -> what one answers.
QUERIES = {b"\x1b[6n": b"\x1b[1;1R", b"\x1b[c": b"\x1b[?62;c", b"\x1b[0c": b"\x1b[?62;c"}


class Terminal:
    """A program in a window; `said` is everything that it wrote."""

    def __init__(self, arguments, *, cwd, env):
        self._window, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOGIN, *map(str, arguments)],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            cwd=cwd,
            env=env,
        )
        os.close(inside)
        self.said = b""

    def until(self, seen, what, seconds=45):
        """Look at the program, and answer its terminal's queries, until `seen()`."""
        deadline = time.monotonic() + seconds
        while not seen():
            assert time.monotonic() < deadline, f"not seen: {what}\n{self.said[-3000:].decode(errors='replace')}"
            self._read()

    def _read(self):
        if not select.select([self._window], [], [], 0.05)[0]:
            return
        with contextlib.suppress(OSError):  # the program is gone
            text = os.read(self._window, 65536)
            self.said += text
            for query, answer in QUERIES.items():
                if query in text:
                    os.write(self._window, answer)

    def close(self, seconds=20):
        """Close the window; the program must go with it."""
        os.close(self._window)
        return self.process.wait(seconds)
