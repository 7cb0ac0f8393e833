"""Every recorded payload of the real agents gives exactly the observation (or the reason for none) of golden.json."""

import json
from pathlib import Path

import pytest

from ai_memory.capture.payload import Skipped
from ai_memory.client.agents import agent_named

FIXTURES = Path(__file__).parent.parent / "fixtures" / "hooks"
GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text("utf-8"))
FILES = sorted(FIXTURES.glob("*/*.json"))


def name_of(path):
    return f"{path.parent.name}/{path.stem}"


def event_of(path, payload):
    """The agent's own name of the event: in the payload, or (OpenCode's functions) in the file's name."""
    if path.parent.name != "opencode":
        return payload["hook_event_name"]
    named = [event for event in agent_named("opencode").events if path.stem.startswith(event)]
    return payload.get("type") or max(named, key=len, default=path.stem)


def as_row(observed):
    if isinstance(observed, Skipped):
        return {"skipped": observed.reason}
    row = {"kind": observed.kind.value, "title": observed.title, "body": observed.body, "note": observed.note}
    if tool := observed.tool:
        row["tool"] = {name: getattr(tool, name) for name in ("name", "outcome", "command")}
        row["tool"] |= {"files": list(tool.files), "writes": tool.writes}
    return row


def test_every_fixture_has_a_golden_row():
    assert {name_of(path) for path in FILES} == set(GOLDEN)
    assert len(FILES) > 120


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_recorded_payload_gives_its_golden_row(path, seen):
    payload = json.loads(path.read_text("utf-8"))
    agent = agent_named(path.parent.name)
    observed = seen(event_of(path, payload), payload, agent=agent.name)
    assert as_row(observed) == GOLDEN[name_of(path)]
    if not isinstance(observed, Skipped):
        assert observed.agent == agent.name
        assert observed.source_event == event_of(path, payload)
        assert observed.cwd in ("/home/dev/project", "")
