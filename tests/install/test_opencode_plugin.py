"""The generated OpenCode plugin, driven by a small host under Node."""

import json
import shutil
import subprocess
import time

import pytest

from ai_memory.install.open_code import generate

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")

#: Notes each call in order; answers a session start with text.
STUB = """#!/bin/sh
folder=${0%/*}
[ -n "$SLOW" ] && sleep "$SLOW"
printf '%s ' "$1" >> "$folder/log"
cat >> "$folder/log"
echo >> "$folder/log"
[ "$1" = session-start ] && printf '%s' "$CONTEXT"
[ -n "$BREAK" ] && exit 7
exit 0
"""

#: Runs steps [hook, input, output]; "load" and "pause" are the host's own. Prints what each output became.
HOST = """
import { readFileSync } from "node:fs"
const steps = JSON.parse(readFileSync(0, "utf8"))
const { AiMemory } = await import(process.argv[2])
let hooks, seen = []
for (const [hook, input, output] of steps) {
  const began = Date.now()
  if (hook === "load") hooks = await AiMemory({ directory: "/home/dev/project", worktree: "/" })
  else if (hook === "pause") await new Promise((resolve) => setTimeout(resolve, input))
  else if (hook === "event") hooks.event(input)
  else await hooks[hook](input, output)
  seen.push({ output: hook === "chat.message" ? output : null, ms: Date.now() - began })
}
console.log(JSON.stringify(seen))
process.exit(0)
"""


@pytest.fixture
def host(site, tmp_path):
    """Run steps in a host; gives (what the host saw, [(stem, payload), ...])."""
    (tmp_path / "host.mjs").write_text(HOST)
    (tmp_path / "plugin.mjs").write_text(generate(site))
    stub = site.data_dir / "hooks" / "open-code" / "hook.sh"
    stub.parent.mkdir(parents=True)
    stub.write_text(STUB)

    def run(*steps, ends=1, **env):
        done = subprocess.run(
            ["node", tmp_path / "host.mjs", (tmp_path / "plugin.mjs").as_uri()],
            input=json.dumps([["load"], *steps]),
            capture_output=True,
            text=True,
            timeout=30,
            env={"PATH": "/usr/bin:/bin", "CONTEXT": "", **env},
        )
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)[1:], told_to(stub.with_name("log"), ends)

    run.stub = stub
    return run


def told_to(log, ends):
    """Read the calls, waiting for the ends of sessions, which come when the host is gone."""
    deadline = time.monotonic() + 5
    while True:
        # A line is written in parts: what has no end yet is no call yet.
        lines = log.read_text().split("\n")[:-1] if log.exists() else []
        calls = [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line]
        if [stem for stem, _ in calls].count("session-end") >= ends or time.monotonic() > deadline:
            return [(stem, json.loads(payload)) for stem, payload in calls]
        time.sleep(0.02)


def created(session, parent=None):
    info = {"id": session, **({"parentID": parent} if parent else {})}
    return ["event", {"event": {"type": "session.created", "properties": {"sessionID": session, "info": info}}}]


def message(session, text, number=1):
    part = {"type": "text", "text": text, "id": f"prt_{number}", "sessionID": session, "messageID": f"msg_{number}"}
    return [
        "chat.message",
        {"sessionID": session},
        {"message": {"id": f"msg_{number}", "agent": "build"}, "parts": [part]},
    ]


def tool(session, name="bash", output=None):
    call = {"tool": name, "sessionID": session, "callID": "call_1", "args": {"command": "ls"}}
    return ["tool.execute.after", call, output or {"title": "ls", "metadata": {"exit": 3}, "output": "README.md\n"}]


def answer(session, text="Done: é 中文 😀"):
    return ["experimental.text.complete", {"sessionID": session}, {"text": text}]


DISPOSE = ["dispose"]


def told(event, **facts):
    return {"session_id": "ses_1", "cwd": "/home/dev/project", "hook_event_name": event, **facts}


START = ("session-start", told("session.created", source="startup"))
PROMPT = ("user-prompt", told("chat.message", prompt="fix ci"))
STOP = ("stop", told("experimental.text.complete", last_assistant_message="Done: é 中文 😀"))
END = ("session-end", told("dispose", reason="exit"))


def test_a_whole_session_is_told_in_order(host):
    _, calls = host(created("ses_1"), message("ses_1", "fix ci"), tool("ses_1"), answer("ses_1"), DISPOSE)
    done = told(
        "tool.execute.after",
        tool_name="bash",
        tool_input={"command": "ls"},
        tool_response={"output": "README.md\n", "exit": 3},
    )
    assert calls == [START, PROMPT, ("post-tool-use", done), STOP, END]


def test_an_answer_of_a_server_tool_is_told_as_text(host):
    output = {
        "content": [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}],
        "isError": True,
    }
    _, calls = host(message("ses_1", "x"), tool("ses_1", "mem_query", output), DISPOSE)
    assert calls[2][1]["tool_response"] == {"output": "a\n\nb", "isError": True}


def test_context_is_added_once_as_a_synthetic_part_and_never_told_back(host):
    seen, calls = host(
        created("ses_1"), message("ses_1", "fix ci"), message("ses_1", "more", 2), DISPOSE, CONTEXT="# Handoff\n"
    )
    added = {
        "id": "prt_1z",
        "sessionID": "ses_1",
        "messageID": "msg_1",
        "type": "text",
        "synthetic": True,
        "text": "# Handoff\n",
    }
    assert [len(step["output"]["parts"]) for step in seen[1:3]] == [2, 1]
    assert seen[1]["output"]["parts"][1] == added
    assert [call[0] for call in calls] == ["session-start", "user-prompt", "user-prompt", "session-end"]
    assert calls[1] == PROMPT


def test_without_context_the_message_stays_as_it_is(host):
    seen, _ = host(message("ses_1", "fix ci"), DISPOSE)
    assert seen[0]["output"] == message("ses_1", "fix ci")[2]


def test_a_session_that_was_not_created_here_is_resumed(host):
    _, calls = host(message("ses_1", "fix ci"), DISPOSE)
    assert calls[0] == ("session-start", told("session.created", source="resume"))


def test_sub_agents_and_the_title_generator_are_left_out(host):
    title = message("ses_1", "title please")
    title[2]["message"]["agent"] = "title"
    _, calls = host(
        created("ses_2", parent="ses_1"),
        message("ses_2", "sub"),
        tool("ses_2"),
        answer("ses_2"),
        title,
        answer("ses_3"),
        DISPOSE,
        ends=0,
    )
    assert calls == []


def test_unloading_the_plugin_ends_nothing_and_loading_it_again_starts_nothing(host):
    _, calls = host(
        created("ses_1"), message("ses_1", "fix ci"), DISPOSE, ["load"], ["pause", 600], answer("ses_1"), DISPOSE
    )
    assert calls == [START, PROMPT, STOP, END]


def test_a_deleted_session_ends_once(host):
    deleted = ["event", {"event": {"type": "session.deleted", "properties": {"info": {"id": "ses_1"}}}}]
    _, calls = host(created("ses_1"), message("ses_1", "fix ci"), deleted, DISPOSE)
    assert calls == [START, PROMPT, ("session-end", told("session.deleted", reason="deleted"))]


def test_an_answer_is_safe_when_the_host_dies_as_the_hook_returns(host):
    _, calls = host(message("ses_1", "fix ci"), answer("ses_1"), ends=0)
    assert STOP in calls


@pytest.mark.parametrize("env", [{"BREAK": "1"}, {"BREAK": "1", "CONTEXT": "x"}])
def test_a_client_that_fails_does_not_fail_the_host(host, env):
    _, calls = host(created("ses_1"), message("ses_1", "fix ci"), answer("ses_1"), DISPOSE, **env)
    assert calls == [START, PROMPT, STOP, END]


def test_a_missing_client_does_not_fail_the_host(host):
    host.stub.unlink()
    seen, calls = host(created("ses_1"), message("ses_1", "fix ci"), tool("ses_1"), answer("ses_1"), DISPOSE, ends=0)
    assert calls == []
    assert seen[1]["output"] == message("ses_1", "fix ci")[2]


def test_payloads_of_any_shape_do_not_fail_the_host(host):
    host(
        ["event", {"event": {"type": "x"}}],
        ["event", {"event": None}],
        ["chat.message", {"sessionID": "s"}, {"message": None, "parts": None}],
        ["tool.execute.after", {"sessionID": "s", "tool": "t"}, None],
        ["experimental.text.complete", {}, None],
        DISPOSE,
        ends=0,
    )


def test_a_large_output_arrives_whole(host):
    _, calls = host(message("ses_1", "x"), tool("ses_1", output={"output": "é" * 1_000_000}), DISPOSE)
    assert calls[2][1]["tool_response"] == {"output": "é" * 1_000_000}


def test_unloading_waits_two_seconds_at_most(host):
    seen, _ = host(
        ["event", {"event": {"type": "x"}}], message("ses_1", "x"), tool("ses_1"), DISPOSE, ends=0, SLOW="2.5"
    )
    assert 1900 <= seen[-1]["ms"] <= 3000
