"""The wheel works without the checkout, and without what only developers need."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(unpacked, *arguments):
    env = {**os.environ, "PYTHONPATH": str(unpacked)}
    return subprocess.run(
        [sys.executable, "-m", "ai_memory", *arguments],
        cwd=unpacked,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_wheel_carries_stubs_pages_and_the_licence(unpacked):
    bundle = unpacked / "ai_memory" / "_bundle"
    assert sorted(path.name for path in (bundle / "hooks").iterdir()) == [
        "claude-code",
        "codex",
        "gemini-cli",
        "open-code",
    ]
    assert (bundle / "web").is_dir()
    assert list(unpacked.glob("*.dist-info/licenses/LICENSE"))
    assert [path for path in unpacked.iterdir() if path.name != "ai_memory" and path.suffix != ".dist-info"] == []


def test_the_program_of_the_wheel_plays_the_demo(unpacked):
    done = run(unpacked, "demo")
    assert (done.returncode, done.stderr) == (0, "")


def test_no_module_of_the_wheel_needs_what_only_developers_have(unpacked):
    script = (
        "import importlib, pkgutil, sys\n"
        "for name in ('pytest', 'hypothesis', 'blockbuster', 'hatchling', '_pytest'): sys.modules[name] = None\n"
        "import ai_memory\n"
        "for module in pkgutil.walk_packages(ai_memory.__path__, 'ai_memory.'):\n"
        "    if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
        "print(ai_memory.__file__)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(unpacked)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=unpacked, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(unpacked)
