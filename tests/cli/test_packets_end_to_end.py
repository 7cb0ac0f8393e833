"""The verbs of packets against the real server, as somebody would use them."""

import json
import re
import urllib.request
from urllib.parse import urlencode

import pytest

from ai_memory.cli import auth as auth_module
from ai_memory.model import packet as packets

SESSION = "5f0c2a1e-0000-4000-8000-000000000001"
EVENTS = [
    ("session-start", {}),
    ("user-prompt", {"prompt": "Round VAT per line in invoices.py and add a test for mixed rates"}),
    (
        "post-tool-use",
        {
            "tool_name": "Edit",
            "tool_input": {"file_path": "invoices.py", "old_string": "a", "new_string": "b"},
            "tool_response": {"ok": True},
        },
    ),
    ("stop", {"last_assistant_message": "It is per line now. Next step: make the test of mixed rates pass."}),
]


@pytest.fixture
def host(desk, monkeypatch):
    """The address of a running server; this process is at a terminal in ~/shop."""
    monkeypatch.chdir(desk.shop)
    monkeypatch.setenv("AI_MEMORY_DATA_DIR", str(desk.data))
    monkeypatch.setenv("AI_MEMORY_SERVER_URL", desk._env["AI_MEMORY_SERVER_URL"])
    return desk._env["AI_MEMORY_SERVER_URL"]


def post(address, form=None, body=None):
    content = urlencode(form).encode() if body is None else json.dumps(body).encode()
    kind = "application/x-www-form-urlencoded" if body is None else "application/json"
    request = urllib.request.Request(address, content, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def test_what_one_session_leaves_another_machine_goes_on_from(desk, host, type_, tmp_path, monkeypatch):
    for event, payload in EVENTS:
        query = urlencode({"event": event, "agent": "claude-code", "cwd": str(desk.shop)})
        post(f"{host}/hook?{query}", body={"session_id": SESSION, **payload})
    saved = type_("save")
    packet_id = saved.out.strip()
    assert saved.err == f"the draft of session {SESSION} in default/shop\nsaved at {host}\n"
    assert [row["id"] for row in json.loads(type_("ls", "--json").out)["packets"]] == [packet_id]
    assert type_("show", packet_id).out.startswith(f"ID:      {packet_id}\n")
    assert "make the test of mixed rates pass" in type_("resume").out

    told = desk.says("status").splitlines()
    # A page it becomes soon after.
    assert any(
        re.fullmatch(r"packets +(1 saved, 0 drafts|[01] saved, 0 drafts, 1 wait to become pages)", line)
        for line in told
    )
    assert any(line.startswith("pushes            pushed 1") for line in told)

    # A team, and somebody who is asked to join it.
    assert type_("teams", "create", "core").out == "created team core\n"
    shared = type_("push", "-", "-t", "core", stdin=packets.example().encode()).out.strip()
    link = type_("invite", "-t", "core").out.strip()
    for name, value in (("DATA_DIR", str(tmp_path / "theirs")), ("SERVER_URL", "http://127.0.0.1:9")):
        monkeypatch.setenv(f"AI_MEMORY_{name}", value)
    assert type_("join", "--yes", link).out == f"✓ authenticated\n✓ default host set to {host}\n✓ joined team core\n"
    assert type_("ls").out == ""
    assert [row["id"] for row in json.loads(type_("ls", "--json", "-t", "core").out)["packets"]] == [shared]
    assert type_("resume", shared).out == type_("example", "--resume").out
    stolen = json.dumps({**json.loads(packets.example()), "id": packet_id}).encode()
    assert type_("push", "-", stdin=stolen).err.startswith("error: server returned 409")
    for verb in ("pull", "rm", "resume"):
        assert type_(verb, packet_id).err == "error: server returned 404: not found\n"
    assert type_("join", link).err == "error: server returned 410: invite expired or already consumed\n"
    assert type_("teams", "rm", "core").err.startswith("error: server returned 403")
    assert type_("teams", "leave", "core").out == "left team core\n"
    assert type_("ls", "-t", "core").err == "error: server returned 404: team not found\n"

    # A third machine, which is approved in the browser of the first.
    monkeypatch.setenv("AI_MEMORY_DATA_DIR", str(tmp_path / "third"))
    codes, waited = [], []
    monkeypatch.setattr(auth_module, "_spaced", lambda code: codes.append(code) or code)

    def approve(seconds):
        waited.append(seconds)
        post(f"{host}/web/device", {"user_code": codes[0], "decision": "approve"})

    monkeypatch.setattr(auth_module, "sleep", approve)
    done = type_("auth", host)
    assert (done.code, waited) == (0, [5]), done.err
    assert done.out.splitlines()[0] == f"Open {host}/web/device"
    assert [row["id"] for row in json.loads(type_("ls", "--json").out)["packets"]] == [packet_id]
