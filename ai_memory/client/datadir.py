"""Which data directory the client works in."""

from __future__ import annotations

import os
import sys


def data_dir() -> str:
    """Give the data directory: `AI_MEMORY_DATA_DIR`, else the one this client was staged into, else the platform's."""
    named = os.environ.get("AI_MEMORY_DATA_DIR", "").strip()
    return _plain(os.path.expanduser(named)) if named else staged_in() or default_data_dir()


def staged_in(client: str = "") -> str:
    """Give the data directory whose `hooks/client` folder this is, or "" in a checkout or a wheel."""
    hooks, folder = os.path.split(client or os.path.dirname(os.path.abspath(__file__)))
    parent, name = os.path.split(hooks)
    return _plain(parent) if (folder, name) == ("client", "hooks") else ""


def default_data_dir() -> str:
    """Give the platform's folder for a user's data, with our name."""
    home = home_dir()
    if sys.platform == "win32":
        return os.path.join(os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local"), "ai-memory")
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Application Support", "ai-memory")
    shared = os.environ.get("XDG_DATA_HOME", "").strip()
    # The specification says that a relative value is to be ignored.
    return os.path.join(shared if os.path.isabs(shared) else os.path.join(home, ".local", "share"), "ai-memory")


def home_dir() -> str:
    """Give the user's home directory, or "" when nothing names it."""
    home = os.path.expanduser("~")
    return home if os.path.isabs(home) else ""


def _plain(path: str) -> str:
    # Windows writes fail under a verbatim path that still holds slashes; the plain spelling always works.
    return os.path.abspath(path.removeprefix("\\\\?\\"))
