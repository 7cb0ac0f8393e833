"""The documents say what the program does."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from ai_memory.cli import COMMANDS
from ai_memory.client.marker import read_marker

ROOT = Path(__file__).resolve().parent.parent


def test_the_reference_pages_are_current():
    done = subprocess.run([sys.executable, "bin/_docs.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_command_that_the_readme_shows_exists():
    readme = (ROOT / "README.md").read_text("utf-8")
    shown = set(re.findall(r"`?(?:bin/)?ai-memory ([a-z][a-z-]+)", readme))
    assert shown - set(COMMANDS) == set()
    assert {"demo", "serve", "install-hooks", "uninstall", "status"} <= shown


def test_every_link_of_the_documents_leads_somewhere():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))]
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []


def test_the_example_marker_is_valid_also_with_every_line_switched_on():
    text = (ROOT / ".ai-memory.toml.example").read_text("utf-8")
    everything = re.sub(r"^# (?=[a-z_]+ = )", "", text, flags=re.MULTILINE)
    assert len(tomllib.loads(everything)["capture"]) == 3
    marker = read_marker(".ai-memory.toml", everything)
    assert marker is not None
