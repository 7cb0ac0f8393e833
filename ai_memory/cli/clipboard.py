"""The clipboard of this machine, where there is one."""

from __future__ import annotations

import shutil
import subprocess
import sys

from ai_memory.config import plain_environment, search_path
from ai_memory.errors import AiMemoryError

_SECONDS = 5.0
#: Program -> how it is told to take standard input. The first that is there is used.
_PROGRAMS = {
    "wl-copy": [],
    "xclip": ["-selection", "clipboard", "-in"],
    "xsel": ["--clipboard", "--input"],
    "termux-clipboard-set": [],
    "clip.exe": [],
}


class ClipboardError(AiMemoryError):
    """This machine has no clipboard that could be reached."""


def copy(text: str) -> None:
    """Put a text on the clipboard.

    Raises:
        ClipboardError: there is none, or its program failed.
    """
    program, arguments = _program()
    # The one of Windows takes its own encoding only.
    content = text.encode("utf-16") if program.endswith("clip.exe") else text.encode()
    try:
        # xclip goes on in the background, and would hold a pipe open.
        subprocess.run(
            [program, *arguments],
            input=content,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ClipboardError(f"the clipboard was not reached ({error})") from error


def _program() -> tuple[str, list[str]]:
    path = search_path()
    if sys.platform == "darwin":
        programs: dict[str, list[str]] = {"pbcopy": []}
    elif plain_environment().get("WAYLAND_DISPLAY") and shutil.which("wl-paste", path=path):
        programs = _PROGRAMS
    else:
        programs = {name: arguments for name, arguments in _PROGRAMS.items() if name != "wl-copy"}
    for name, arguments in programs.items():
        if found := shutil.which(name, path=path):
            return found, arguments
    raise ClipboardError("this machine has no clipboard program (wl-copy, xclip, xsel, pbcopy, clip.exe)")
