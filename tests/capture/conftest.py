"""The corpora: invented secrets, kept in pieces so that no scanner takes them for real ones, and what only looks alike."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ai_memory.capture.payload import observe
from ai_memory.capture.scrub import Scrubber
from ai_memory.client.agents import AGENTS

HERE = Path(__file__).parent
MARK = re.compile(r"\[REDACTED:[a-z0-9-]+\]")
AT = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


class Planted:
    """One secret in the text that it came in."""

    def __init__(self, row):
        self.form = row["form"]
        self.secret = "".join(row["secret"])
        self.text = row["before"] + self.secret + row["after"]

    def left_in(self, stored):
        """The pieces of eight characters of the secret that a stored text still holds."""
        rest = MARK.sub("", stored)
        pieces = {self.secret[start : start + 8] for start in range(len(self.secret) - 7)}
        # A cap may cut a mark, and some paths hold the word of their mark.
        return sorted(piece for piece in pieces if piece in rest and piece not in "credential-path")


def planted():
    return [Planted(row) for row in json.loads((HERE / "secrets.json").read_text("utf-8"))]


def lookalikes():
    return json.loads((HERE / "lookalikes.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def scrub():
    return Scrubber().scrub


@pytest.fixture(scope="session")
def secrets():
    return planted()


@pytest.fixture(scope="session")
def innocent():
    return lookalikes()


@pytest.fixture
def seen(scrub):
    """Observe one payload of an agent, with everything else filled in."""

    def run(event, payload, agent="claude-code", **changes):
        known = {"event": event, "agent": AGENTS[agent], "payload": payload, "at": AT, "scrub": scrub}
        return observe(**known | changes)

    return run
