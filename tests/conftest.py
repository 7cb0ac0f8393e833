"""What every test has: a home of its own, fixed authorship, no way to the developer's files."""

import gc
import itertools
import os
import socket
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

# Machines are shared: an example that waits for git or a disk is no failure.
settings.register_profile("shared machines", deadline=None)
settings.load_profile("shared machines")

ROOT = Path(__file__).resolve().parent.parent


# The collector would otherwise go through ten thousand collected tests again and again: a tenth of all the time.
gc.set_threshold(20_000, 10, 10)


def pytest_collection_finish():
    """Leave what is there for good out of every later collection."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser):
    """Say which server the conformance suite of the ltm protocol judges."""
    parser.addoption("--ltm-url", help="address of a server of the ltm protocol; without it our own is judged")
    parser.addoption("--ltm-token", help="a token of a user there (or LTM_TOKEN)")


@pytest.fixture(scope="session")
def homes(tmp_path_factory):
    """Folders with a number each. `mktemp` reads all the others' names to find a number that is free."""
    return map(tmp_path_factory.mktemp("homes").joinpath, map(str, itertools.count()))


@pytest.fixture(autouse=True)
def own_home(homes, monkeypatch):
    """Point everything that could lead to the developer's own data into a temporary folder."""
    home = next(homes)
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(
            (
                "AI_MEMORY_",
                "GIT_",
                "CLAUDE_",
                "CODEX_",
                "GEMINI_",
                "GROK_",
                "OPENCODE_",
                "OPENAI_",
                "MCP_TOKENS_",
                "PI_",
                "LTM_",
            )
        ):
            monkeypatch.delenv(name)
        if name in ("EMBEDDING_API_KEY", "VOYAGE_API_KEY", "GOOGLE_API_KEY", "LLM_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    for variable, folder in (
        ("DATA", ".local/share"),
        ("CONFIG", ".config"),
        ("STATE", ".local/state"),
        ("CACHE", ".cache"),
    ):
        monkeypatch.setenv(f"XDG_{variable}_HOME", str(home / folder))
    monkeypatch.setenv("TZ", "UTC")
    return home


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def no_blocking():
    """Fail on a call that blocks the event loop."""
    with blockbuster_ctx(scanned_modules=["ai_memory.server"]) as guard:
        yield guard
