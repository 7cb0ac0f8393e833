"""Transcripts of Claude Code and Codex become the events that hooks would have sent."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_memory.cli.transcripts import ORIGINS, claude_transcript, codex_transcript

ONE = "0b1c2d3e-0000-4000-8000-000000000001"
BEGUN = datetime(2026, 1, 31, 10, 0, tzinfo=UTC)


def stamp(seconds):
    return (BEGUN + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def write(file, lines, ends="\n"):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}{ends}" for line in lines))
    return file


def claude(kind, seconds, content, **more):
    message = {"role": kind, "content": content}
    return {"type": kind, "timestamp": stamp(seconds), "cwd": "/srv/shop", "sessionId": ONE, "message": message, **more}


def use(number, name, **given):
    return {"type": "tool_use", "id": f"call-{number}", "name": name, "input": given}


def result(number, content, **more):
    return {"type": "tool_result", "tool_use_id": f"call-{number}", "content": content, **more}


def told(transcript):
    return [
        (each.name, int((each.at - BEGUN).total_seconds()), each.cwd, dict(each.body)) for each in transcript.events
    ]


START, END = ("SessionStart", {"source": "backfill"}), ("SessionEnd", {"reason": "backfill"})


@pytest.fixture
def read_claude(tmp_path):
    return lambda *lines: claude_transcript(write(tmp_path / f"{ONE}.jsonl", lines))


@pytest.fixture
def read_codex(tmp_path):
    name = f"2026/01/31/rollout-2026-01-31T10-00-00-{ONE}.jsonl"
    return lambda *lines: codex_transcript(write(tmp_path / name, lines))


def test_a_session_of_claude_code_is_told_with_its_own_times(read_claude):
    got = read_claude(
        {"type": "summary", "summary": "Rounding"},
        claude("user", 1, "Fix the <b>rounding</b>.\n<system-reminder>be nice</system-reminder>"),
        claude("assistant", 2, [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "I look."}]),
        claude("assistant", 3, [use(1, "Edit", file_path="/srv/shop/cart.py"), use(2, "Bash", command="make test")]),
        claude("user", 4, [result(1, "done")], toolUseResult={"filePath": "/srv/shop/cart.py", "structuredPatch": []}),
        claude("user", 5, [result(2, [{"type": "text", "text": "Exit code 2"}], is_error=True)], toolUseResult="Error"),
        claude("assistant", 6, [{"type": "text", "text": "Rounded."}]),
        claude("user", 60, [{"type": "text", "text": "And now?"}], cwd="/srv/atlas"),
        claude("assistant", 61, [{"type": "text", "text": "Nothing."}], cwd="/srv/atlas"),
    )
    edit = {"tool_name": "Edit", "tool_input": {"file_path": "/srv/shop/cart.py"}}
    bash = {"tool_name": "Bash", "tool_input": {"command": "make test"}}
    assert (got.agent, got.id) == ("claude-code", ONE)
    assert told(got) == [
        (START[0], 1, "/srv/shop", START[1]),
        ("UserPromptSubmit", 1, "/srv/shop", {"prompt": "Fix the <b>rounding</b>."}),
        (
            "PostToolUse",
            4,
            "/srv/shop",
            {**edit, "tool_response": {"filePath": "/srv/shop/cart.py", "structuredPatch": []}},
        ),
        ("PostToolUseFailure", 5, "/srv/shop", {**bash, "error": "Exit code 2"}),
        ("Stop", 60, "/srv/atlas", {"last_assistant_message": "Rounded."}),
        ("UserPromptSubmit", 60, "/srv/atlas", {"prompt": "And now?"}),
        ("Stop", 61, "/srv/atlas", {"last_assistant_message": "Nothing."}),
        (END[0], 61, "/srv/atlas", END[1]),
    ]


def test_what_nobody_asked_is_no_prompt(read_claude):
    got = read_claude(
        claude("user", 1, "<command-name>/clear</command-name><command-args></command-args>"),
        claude("user", 2, "Caveat: The messages below were generated", isMeta=True),
        claude("user", 3, "[Request interrupted by user]"),
        claude("user", 4, "A summary of before", isCompactSummary=True),
        claude("user", 5, "Search the docs.", isSidechain=True),
        claude("user", 6, "Of another session", sessionId="other"),
        claude("assistant", 7, [{"type": "text", "text": "API Error"}], isApiErrorMessage=True),
        claude("user", 8, "<task-notification>done</task-notification>"),
    )
    assert got.events == ()


def test_lines_that_are_broken_are_passed_over(read_claude):
    got = read_claude(
        "{", "[]", "null", "\0\0", "9" * 5_000,
        {"type": "user"}, {"type": "user", "message": 7}, {"type": "assistant", "message": {"content": [7, {}]}},
        claude("user", 1, "Fix it.", timestamp="never", cwd=None),
        claude("user", 2, "Fix it now."),
        claude("user", 3, [result(9, "of no call")]),
        '{"type": "user", "timest',
    )  # fmt: skip
    assert [each[0] for each in told(got)] == ["SessionStart", "UserPromptSubmit", "SessionEnd"]


def codex(kind, seconds, **payload):
    return {"timestamp": stamp(seconds), "type": kind, "payload": payload}


def meta(seconds=0, **more):
    return codex("session_meta", seconds, id=ONE, cwd="/srv/shop", **more)


def item(seconds, kind, **more):
    return codex("event_msg", seconds, type="item_completed", item={"type": kind, **more})


def said(text):
    return [{"type": "text", "text": text}]


EVENTS = [
    codex("event_msg", 1, type="user_message", message="Fix the rounding."),
    codex("event_msg", 2, type="agent_message", message="I look."),
    codex("event_msg", 9, type="agent_message", message="Rounded."),
]
ITEMS = [
    item(1, "UserMessage", content=said("Fix the rounding.")),
    item(2, "AgentMessage", content=said("I look.")),
    item(9, "AgentMessage", content=said("Rounded.")),
]


@pytest.mark.parametrize("dialect", [EVENTS, ITEMS, EVENTS + ITEMS], ids=["events", "items", "both"])
def test_a_session_of_codex_is_told_in_either_dialect_once(read_codex, dialect):
    noise = [codex("response_item", 1, type="message", role="user", content=said("<environment_context>"))]
    got = read_codex(meta(), *noise, *sorted(dialect, key=lambda line: line["timestamp"]), codex("world_state", 9))
    assert (got.agent, got.id) == ("codex", ONE)
    assert told(got) == [
        (START[0], 1, "/srv/shop", START[1]),
        ("UserPromptSubmit", 1, "/srv/shop", {"prompt": "Fix the rounding."}),
        ("Stop", 9, "/srv/shop", {"last_assistant_message": "Rounded."}),
        (END[0], 9, "/srv/shop", END[1]),
    ]


def call(seconds, number, name, arguments):
    return codex("response_item", seconds, type="function_call", name=name, call_id=str(number), arguments=arguments)


def output(seconds, number, said, kind="function_call_output"):
    return codex("response_item", seconds, type=kind, call_id=str(number), output=said)


PATCH = "*** Begin Patch\n*** Update File: cart.py\n*** End Patch"


def test_the_tools_of_codex_are_named_as_its_hooks_name_them(read_codex):
    got = read_codex(
        meta(),
        EVENTS[0],
        call(2, 1, "shell", json.dumps({"command": ["bash", "-lc", "make test"]})),
        output(3, 1, json.dumps({"output": "2 failed", "metadata": {"exit_code": 2}})),
        call(4, 2, "exec_command", json.dumps({"cmd": "ls -l"})),
        output(5, 2, "cart.py"),
        codex("response_item", 6, type="custom_tool_call", name="apply_patch", call_id="3", input=PATCH),
        output(7, 3, "Done", "custom_tool_call_output"),
        call(8, 4, "mcp__docs__find", "{broken"),
        output(8, 4, "found"),
        item(8, "CommandExecution", command="ls -l", aggregated_output="cart.py"),
    )
    assert [each[3] for each in told(got)[2:-1]] == [
        {"tool_name": "Bash", "tool_input": {"command": "make test"}, "error": "exit code 2\n2 failed"},
        {"tool_name": "Bash", "tool_input": {"command": "ls -l"}, "tool_response": "cart.py"},
        {"tool_name": "apply_patch", "tool_input": {"command": PATCH}, "tool_response": "Done"},
        {"tool_name": "mcp__docs__find", "tool_input": {"command": "{broken"}, "tool_response": "found"},
    ]


def test_where_only_items_tell_of_tools_these_are_taken(read_codex):
    got = read_codex(
        meta(),
        *ITEMS[:1],
        item(2, "CommandExecution", command=["ls", "-l"], aggregated_output="no", exit_code=1),
        item(3, "FileChange", changes={"cart.py": {"type": "update"}}),
    )
    assert [each[3] for each in told(got)[2:-1]] == [
        {"tool_name": "Bash", "tool_input": {"command": "ls -l"}, "tool_response": {"output": "no", "exit_code": 1}},
        {"tool_name": "edit_file", "tool_input": {"paths": ["cart.py"]}, "tool_response": ""},
    ]


@pytest.mark.parametrize(
    "of_child",
    [{"parent_thread_id": "x"}, {"agent_path": "/root/helper"}, {"source": {"subagent": "review"}}],
    ids=["parent", "path", "source"],
)
def test_what_a_sub_agent_of_codex_did_is_left_out(read_codex, of_child):
    assert read_codex(meta(**of_child), *EVENTS).events == ()
    assert len(read_codex(meta(), meta(**of_child), *EVENTS).events) == 4


def test_the_files_of_sessions_are_found_and_those_of_sub_agents_are_not(tmp_path):
    for path in (
        f"-srv-shop/{ONE}.jsonl",
        f"-srv-shop/{ONE}/subagents/agent-1.jsonl",
        "-srv-shop/notes.txt",
        "top.jsonl",
    ):
        write(tmp_path / path, [])
    named = [(each.agent, each.id, each.file) for each in ORIGINS["claude-code"].files(tmp_path)]
    assert named == [("claude-code", ONE, tmp_path / f"-srv-shop/{ONE}.jsonl")]
    rollout = write(tmp_path / f"2026/01/31/rollout-2026-01-31T10-00-00-{ONE}.jsonl", [])
    write(tmp_path / "2026/01/31/rollout-broken.jsonl", [])
    assert [(each.id, each.file) for each in ORIGINS["codex"].files(tmp_path)] == [(ONE, rollout)]
    assert ORIGINS["codex"].files(tmp_path / "missing") == []


WORDS = st.sampled_from(
    "user assistant text tool_use tool_result event_msg response_item session_meta user_message agent_message "
    "item_completed UserMessage CommandExecution FileChange function_call function_call_output local_shell_call "
    "custom_tool_call apply_patch shell x".split()
)
KEYS = st.sampled_from(
    "type timestamp cwd message content text id tool_use_id name input payload item call_id arguments output changes "
    "command path is_error toolUseResult source metadata exit_code action aggregated_output".split()
)
VALUES = st.recursive(
    WORDS | st.just(stamp(1)) | st.none() | st.integers() | st.booleans() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)
LINES = st.lists(st.dictionaries(KEYS, VALUES, min_size=2, max_size=7), max_size=6)


@pytest.mark.parametrize("first", [claude("user", 1, "Fix it."), EVENTS[0]], ids=["claude", "codex"])
@given(lines=LINES)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_line_of_whatever_form_stops_the_reading(tmp_path, first, lines):
    read, name = (
        (claude_transcript, f"{ONE}.jsonl") if first is not EVENTS[0] else (codex_transcript, f"rollout-a-{ONE}.jsonl")
    )
    got = read(write(tmp_path / name, [first, *lines]))
    assert [each.stem for each in got.events if each.stem.startswith("session")] in (
        ["session-start", "session-end"],
        [],
    )
    json.dumps([each.body for each in got.events])
