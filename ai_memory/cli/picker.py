"""Choosing one of a list on a terminal: arrows, Enter, typing to filter, Esc to leave."""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

if sys.platform != "win32":
    import termios
    import tty

_ROWS = 12
#: What a terminal sends for one key; several may come at once.
_KEYS = re.compile(r"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z])|[\x00\xe0][HP]|.", re.DOTALL)
_UP = frozenset({"\x1b[A", "\x1bOA", "\x00H", "\xe0H", "\x10"})
_DOWN = frozenset({"\x1b[B", "\x1bOB", "\x00P", "\xe0P", "\x0e"})
_LEAVE = frozenset({"\x1b", "\x03", "\x04"})
_BACK = frozenset({"\x7f", "\x08"})
_HELP = "↑ ↓ choose · Enter take · type to filter · Esc leave"


class Picker:
    """What is shown and chosen; it reads no key and writes nothing itself.

    Attributes:
        done: whether Enter or Esc was pressed.
        chosen: the place in `options` of what was taken, None where nothing was.
    """

    def __init__(self, options: Sequence[str]) -> None:
        self.done = False
        self.chosen: int | None = None
        self._options = [" ".join(option.split()) for option in options]
        self._words = ""
        self._at = 0

    def press(self, key: str) -> None:
        """Take one key."""
        found = self._found()
        if key in _UP or key in _DOWN:
            self._at = max(0, min(len(found) - 1, self._at + (1 if key in _DOWN else -1)))
        elif key in {"\r", "\n"}:
            if found:
                self.done, self.chosen = True, found[self._at]
        elif key in _LEAVE:
            self.done = True
        elif key in _BACK:
            self._filter(self._words[:-1])
        elif key.isprintable() and not (key == "/" and not self._words):  # a slash begins a filter elsewhere
            self._filter(self._words + key)

    def lines(self, title: str, width: int) -> list[str]:
        """Draw it: the title, the help or what is filtered by, and the options around the one that is pointed at."""
        found = self._found()
        first = max(0, min(self._at - _ROWS // 2, len(found) - _ROWS))
        rows = [
            _fitting(("> " if place == self._at else "  ") + self._options[option], width)
            for place, option in enumerate(found)
        ]
        asked = f"filter: {self._words}" if self._words else _HELP
        shown = rows[first : first + _ROWS] or ["  nothing has these words"]
        rest = len(found) - len(shown)
        more = [f"  ({rest} more)"] if found and rest else []
        return [_fitting(title, width), _fitting(asked, width), *shown, *more]

    def _filter(self, words: str) -> None:
        self._words, self._at = words, 0

    def _found(self) -> list[int]:
        words = self._words.casefold().split()
        return [place for place, text in enumerate(self._options) if all(word in text.casefold() for word in words)]


def pick(title: str, options: Sequence[str]) -> int | None:
    """Let somebody at the terminal choose; it is drawn on stderr and wiped away afterwards.

    Returns:
        the place of what was chosen, None where somebody left.
    """
    picker = Picker(options)
    drawn = 0
    with _typing() as typed:
        try:
            while not picker.done:
                lines = picker.lines(title, shutil.get_terminal_size().columns - 1)
                click.echo(_wiped(drawn) + "\n".join(lines), err=True)
                drawn = len(lines)
                for key in _KEYS.findall(typed()):
                    if not picker.done:
                        picker.press(key)
        except (KeyboardInterrupt, EOFError):
            return None
        finally:
            click.echo(_wiped(drawn), nl=False, err=True)
    return picker.chosen


@contextmanager
def _typing() -> Iterator[Callable[[], str]]:
    """Give what waits for keys and reads them, while the terminal neither shows nor collects them."""
    if sys.platform == "win32":
        yield click.getchar
        return
    # click's own turns the terminal around for each key, and what is typed in between is lost.
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSANOW)

    def typed() -> str:
        keys = os.read(terminal, 64)
        if not keys:
            raise EOFError
        return keys.decode(errors="replace")

    try:
        yield typed
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


def _wiped(lines: int) -> str:
    return f"\x1b[{lines}A\r\x1b[J" if lines else ""


def _fitting(line: str, width: int) -> str:
    """Cut a line to columns: one that a terminal wraps would be drawn twice."""
    columns = 0
    for place, sign in enumerate(line):
        columns += 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        if columns > width:
            return line[: place - 1] + "…"
    return line
