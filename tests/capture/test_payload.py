import json
from datetime import UTC, datetime
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_memory.capture.payload import OTHER_LIMIT, TEXT_LIMIT, Skipped, cwd_of, observe, session_key, stem_of
from ai_memory.capture.scrub import Scrubber
from ai_memory.client.agents import AGENTS, OTHER
from ai_memory.model.event import Kind, Observation, ToolCall

AT = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
OID = UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")
ID = "20aae216-a587-4b26-abcd-b279d1fd7e1e"


# --- which event -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spellings", "stem"),
    [
        ("session-start session_start SessionStart sessionStart", "session-start"),
        (
            "user-prompt user_prompt user-prompt-submit user_prompt_submit UserPromptSubmit beforeSubmitPrompt",
            "user-prompt",
        ),
        ("pre-tool-use pre_tool_use PreToolUse preToolUse BeforeTool", "pre-tool-use"),
        ("post-tool-use post_tool_use PostToolUse postToolUse postToolUseFailure AfterTool", "post-tool-use"),
        ("pre-compact pre_compact PreCompact preCompact PreCompress", "pre-compact"),
        ("post-compaction post_compaction PostCompaction PostCompact", "post-compaction"),
        ("notification Notification", "notification"),
        ("stop Stop", "stop"),
        ("session-end session_end SessionEnd sessionEnd", "session-end"),
        ("subagent-start subagent_start SubagentStart subagentStart", "subagent-start"),
        ("subagent-stop subagent-end SubagentEnd subagentStop", "subagent-stop"),
        ("deploy-finished x Stopped", "other"),
    ],
)
def test_every_spelling_of_an_event_has_its_stem(spellings, stem):
    assert {spelling: stem_of(spelling, OTHER) for spelling in spellings.split()} == dict.fromkeys(
        spellings.split(), stem
    )


def test_an_agents_own_name_goes_before_the_general_spelling():
    assert (stem_of("PreCompress", AGENTS["gemini-cli"]), stem_of("PreCompress", OTHER)) == ("", "pre-compact")


def test_noise_is_noise_also_when_the_wire_names_a_stem(seen):
    payload = {"hook_event_name": "PreCompress", "session_id": ID}
    assert seen("pre-compact", payload, agent="gemini-cli") == Skipped("noise")


# --- who and where ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "raw"),
    [
        ({"session_id": ID}, ID),
        ({"sessionId": "a", "session_id": "b"}, "b"),
        ({"sessionID": "ses_1"}, "ses_1"),
        ({"conversationId": "c-9"}, "c-9"),
        ({"payload": {"session_id": "p"}}, "p"),
        ({"properties": {"info": {"id": "i"}}}, "i"),
        ({"event": {"properties": {"sessionID": "e"}}}, "e"),
        ({"payload": {"properties": {"info": {"id": "deep"}}}}, "deep"),
        ({"info": {"id": "info"}}, "info"),
        ({"input": {"sessionID": "ses_2"}, "output": {}}, "ses_2"),
        ({"session": {"id": "object"}}, "query"),
        ({"session_id": "unknown"}, "query"),
        ({"session_id": 7}, "query"),
    ],
)
def test_the_session_id_is_found_where_agents_put_it(payload, raw):
    expected = UUID(raw) if raw == ID else uuid5(OID, raw)
    assert session_key(payload, "query") == (raw, expected)


def test_an_event_without_a_session_has_none():
    assert session_key({"prompt": "x", "session_id": ""}) is None


@pytest.mark.parametrize(
    ("payload", "cwd"),
    [
        ({"cwd": "/a"}, "/a"),
        ({"current_dir": "/b"}, "/b"),
        ({"workspace_roots": ["/c", "/d"]}, "/c"),
        ({"path": {"cwd": "/e"}}, "/e"),
        ({"properties": {"info": {"directory": "/f"}}}, "/f"),
        ({"payload": {"cwd": "/g"}}, "/g"),
        ({"payload": {"event": {"properties": {"info": {"directory": "/h"}}}}}, "/h"),
        ({"cwd": 3, "workspacePaths": []}, ""),
    ],
)
def test_the_directory_is_found_where_agents_put_it(payload, cwd):
    assert cwd_of(payload) == cwd


def test_the_payloads_directory_goes_before_the_clients(seen):
    prompt = {"prompt": "x"}
    assert seen("user-prompt", prompt | {"cwd": "/a"}, cwd="/b").cwd == "/a"
    assert seen("user-prompt", prompt, cwd="/b").cwd == "/b"


# --- what is kept out ------------------------------------------------------------------------------------------------


def test_a_sub_agent_is_marked_by_its_id_and_not_by_an_agent_profile(seen):
    prompt = {"prompt": "list the files", "session_id": ID}
    assert seen("UserPromptSubmit", prompt | {"agent_id": "a1"}) == Skipped("subagent")
    assert seen("UserPromptSubmit", prompt | {"subagentType": "explore"}) == Skipped("subagent")
    assert seen("UserPromptSubmit", prompt | {"agent_type": "reviewer", "agent_id": ""}).body == "list the files"


def test_an_opencode_session_with_a_parent_is_a_sub_agent(seen):
    event = {"type": "session.created", "properties": {"info": {"id": "ses_2", "parentID": "ses_1"}}}
    assert seen("session.created", event, agent="open-code") == Skipped("subagent")


@pytest.mark.parametrize(
    ("agent", "tool"),
    [
        ("claude-code", "mcp__ai-memory__memory_query"),
        ("codex", "mcp__ai_memory__memory_handoff_begin"),
        ("gemini-cli", "mcp_ai-memory_memory_query"),
        ("open-code", "ai-memory_memory_query"),
        ("cursor", "mcp__ai-memory__memory_query"),
    ],
)
def test_our_own_tools_are_kept_out_and_those_of_another_memory_stay(agent, tool, seen):
    payload = {"tool_name": tool, "tool_response": "old text", "session_id": ID}
    assert seen("post-tool-use", payload, agent=agent) == Skipped("own-tool")
    other = seen(
        "post-tool-use",
        payload | {"tool_name": tool.replace("ai-memory", "mem").replace("ai_memory", "mem")},
        agent=agent,
    )
    assert other.body == "old text"


def test_the_title_generators_call_is_noise(seen):
    payload = {"input": {"sessionID": "ses_1", "agent": "title"}, "output": {}}
    assert seen("chat.message", payload, agent="open-code") == Skipped("noise")


def test_a_background_agents_notice_is_no_prompt(seen):
    assert seen("UserPromptSubmit", {"prompt": "<task-notification>\n<task-id>1"}) == Skipped("task-notification")


def test_injected_context_is_taken_out_of_a_prompt(seen):
    fence = "<!-- ai-memory:untrusted-history:start -->\nold\n<!-- ai-memory:untrusted-history:end -->"
    escaped = fence.replace("<", "&lt;").replace(">", "&gt;")
    prompt = f"<hook_context>{escaped}</hook_context>\n<hook_context>x</hook_context>\n\nfix it {fence} now"
    assert seen("BeforeAgent", {"prompt": prompt}, agent="gemini-cli").body == "fix it  now"


def test_an_event_that_is_nothing_but_our_own_text_leaves_nothing(seen):
    prompt = "<hook_context>all of it</hook_context>"
    assert seen("BeforeAgent", {"prompt": prompt}, agent="gemini-cli") == Skipped("no-content")


def test_a_fence_that_never_ends_takes_nothing_away(seen):
    text = "why is <!-- ai-memory:untrusted-history:start --> in my prompt?"
    assert seen("user-prompt", {"prompt": text}).body == text


# --- prompts, answers, summaries -------------------------------------------------------------------------------------


def test_a_prompt_is_kept_whole_and_its_first_line_is_the_title(seen):
    observation = seen(
        "UserPromptSubmit", {"prompt": "\n  Fix   the parser\nand the docs", "session_id": ID}, key="k1", cwd="/p"
    )
    assert observation == Observation(
        at=AT,
        kind=Kind.USER_PROMPT,
        agent="claude-code",
        source_event="UserPromptSubmit",
        title="Fix the parser",
        body="Fix   the parser\nand the docs",
        key="k1",
        cwd="/p",
    )


def test_a_prompt_in_blocks_is_joined(seen):
    blocks = [{"type": "text", "text": "one"}, {"type": "image", "id": "x"}, {"type": "text", "text": "two"}]
    assert seen("user-prompt", {"prompt": blocks}).body == 'one\n{"type":"image","id":"x"}\ntwo'


def test_prompts_that_are_switched_off_leave_a_trace_without_text(seen):
    observation = seen("user-prompt", {"prompt": "secret plan"}, prompts=False)
    assert (observation.kind, observation.title, observation.body) == (Kind.USER_PROMPT, "prompt not captured", "")


def test_a_prompt_that_the_client_left_out_leaves_the_same_trace(seen):
    observation = seen("user-prompt", {"session_id": ID, "_ai_memory_capture": {"version": 1}})
    assert (observation.title, observation.body) == ("prompt not captured", "")


@pytest.mark.parametrize(
    ("agent", "event", "field"),
    [
        ("claude-code", "Stop", "last_assistant_message"),
        ("codex", "Stop", "last_assistant_message"),
        ("gemini-cli", "AfterAgent", "prompt_response"),
        ("open-code", "stop", "last_assistant_message"),
        ("cursor", "stop", "text"),
    ],
)
def test_the_last_answer_is_kept_unless_that_is_switched_off(agent, event, field, seen):
    payload = {"session_id": ID, "prompt": "question", field: "I renamed the table."}
    kept, off = seen(event, payload, agent=agent), seen(event, payload, agent=agent, answers=False)
    assert (kept.kind, kept.title, kept.body) == (Kind.STOP, "stop", "I renamed the table.")
    assert (off.kind, off.title, off.body) == (Kind.STOP, "stop", "")


def test_an_interrupted_and_a_failed_turn_say_so(seen):
    assert seen("Interrupt", {"session_id": ID}, agent="codex").note == "interrupt"
    failed = seen("StopFailure", {"error": "server_error", "last_assistant_message": "API Error: 500"})
    assert (failed.note, failed.title, failed.body) == ("server_error", "API Error: 500", "")


def test_a_summary_is_kept_as_long_as_an_answer_would_be(seen):
    payload = {"compact_summary": "First this.\nThen that.", "trigger": "auto"}
    kept, off = seen("PostCompact", payload), seen("PostCompact", payload, answers=False)
    assert (kept.title, kept.body, kept.note) == ("First this.", "First this.\nThen that.", "auto")
    assert (off.title, off.body, off.note) == ("post-compaction", "", "auto")


def test_long_texts_keep_head_and_tail_within_their_limit(seen):
    prompt = "é" * 50_000 + "END"
    body = seen("user-prompt", {"prompt": prompt}).body
    assert len(body.encode()) <= TEXT_LIMIT
    assert body.startswith("éé")
    assert body.endswith("éEND")
    output = seen(
        "post-tool-use", {"tool_name": "Bash", "tool_response": {"stdout": "x" * 9_000, "stderr": "fatal: end"}}
    ).body
    assert len(output.encode()) <= OTHER_LIMIT
    assert output.endswith("fatal: end")


def test_the_note_of_a_cut_counts_what_is_missing(seen):
    text = "ab" * 100_000
    body = seen("user-prompt", {"prompt": text}).body
    head, rest = body.split("...[truncated ")
    missing, tail = rest.split(" bytes]...")
    assert len(head) + int(missing) + len(tail) == len(text)


def test_titles_are_one_line_of_eighty_characters(seen):
    title = seen("user-prompt", {"prompt": "word " * 40 + "\nnext"}).title
    assert len(title) <= 80
    assert title == "word " * 15 + "word…"


def test_terminal_signs_and_direction_marks_are_taken_out(seen):
    nasty = "\x1b[31mred\x1b[0m \x1b]0;title\x07a\x00b\x08c\u202ed\u2066e\x9b1mf \x1bPq#\x1b\\g\tok\r\nnext\rlast\ud800"
    assert seen("user-prompt", {"prompt": nasty}).body == "red abcdef g\tok\nnext\nlast\ufffd"


def test_a_secret_that_terminal_colours_split_is_found(seen):
    token = "ghp" + "_" + "A1b2C3d4E5" + "\x1b[0m" + "F6g7H8i9J0K1l2M3n4O5p6"
    assert seen("user-prompt", {"prompt": f"use {token}"}).body == "use [REDACTED:github-token]"


# --- tools -----------------------------------------------------------------------------------------------------------


def test_a_shell_call_keeps_command_output_and_outcome(seen):
    payload = {
        "tool_name": "Bash",
        "tool_use_id": "toolu 1/é",
        "tool_input": {"command": "make test"},
        "tool_response": {"stdout": "1 failed\n", "stderr": "error: x\n", "interrupted": False},
    }
    observation = seen("PostToolUse", payload)
    assert observation.tool == ToolCall("Bash", "success", "make test", (), writes=False)
    assert (observation.title, observation.body) == ("Bash", "1 failed\nerror: x")


@pytest.mark.parametrize(
    ("agent", "event", "payload", "outcome"),
    [
        ("claude-code", "PostToolUseFailure", {"error": "Exit code 3\noops"}, "error"),
        ("claude-code", "PostToolUse", {"tool_response": {"stdout": "", "interrupted": True}}, "error"),
        ("claude-code", "PostToolUse", {"tool_response": {"stdout": "ok"}}, "success"),
        ("codex", "PostToolUse", {"tool_response": "oops\n"}, "unknown"),
        ("codex", "PostToolUse", {"tool_response": {"content": [], "isError": True}}, "error"),
        (
            "gemini-cli",
            "AfterTool",
            {"tool_response": {"llmContent": "Output: x\nExit Code: 3\nProcess Group PGID: 1"}},
            "error",
        ),
        ("gemini-cli", "AfterTool", {"tool_response": {"llmContent": "Output: x\nProcess Group PGID: 1"}}, "success"),
        ("gemini-cli", "AfterTool", {"tool_response": {"llmContent": "Output: x\nSignal: 9"}}, "error"),
        ("gemini-cli", "AfterTool", {"tool_response": {"llmContent": "no", "error": {"message": "denied"}}}, "error"),
        ("open-code", "tool.execute.after", {"tool_response": {"output": "x", "exit": 2}}, "error"),
        ("open-code", "tool.execute.after", {"tool_response": {"output": "x", "exit": 0}}, "success"),
        ("open-code", "tool.execute.after", {"tool_response": {"output": "x", "metadata": {"exit": 1}}}, "error"),
        ("open-code", "tool.execute.after", {"tool_response": {"output": "x", "isError": True}}, "error"),
        ("kiro-cli", "post-tool-use", {"tool_response": {"success": False, "result": "x"}}, "error"),
        ("pi", "post-tool-use", {"output": "x", "tool_response": {"isError": False}}, "success"),
        ("antigravity-cli", "post-tool-use", {"error": "no such file"}, "error"),
        ("cursor", "postToolUseFailure", {"output": "x"}, "error"),
        ("cursor", "post-tool-use", {"output": "x"}, "unknown"),
    ],
)
def test_the_outcome_follows_what_each_agent_says(agent, event, payload, outcome, seen):
    payload = {"tool_name": "run", "tool_input": {"command": "x"}, **payload}
    observation = seen(event, payload, agent=agent)
    assert observation.tool.outcome == outcome
    assert observation.body


PATCH = """*** Begin Patch
*** Update File: src/a.py
*** Move to: src/b.py
@@
-one
+two
*** Add File: new.txt
+hi
*** Delete File: old.txt
*** End Patch
"""


def test_a_patch_names_its_files_and_keeps_none_of_its_text(seen):
    payload = {"tool_name": "apply_patch", "tool_input": {"command": PATCH}, "tool_response": "Exit code: 0\nSuccess."}
    observation = seen("PostToolUse", payload, agent="codex")
    assert observation.tool == ToolCall(
        "apply_patch", "success", "", ("src/a.py", "src/b.py", "new.txt", "old.txt"), writes=True
    )
    assert observation.body == "edited src/a.py, src/b.py, new.txt, old.txt (+2 −1)"


@pytest.mark.parametrize(
    ("tool", "given", "response", "body"),
    [
        ("Read", {"file_path": "/p/src/a.py"}, {"file": {"content": "SECRET"}}, "read src/a.py"),
        ("NotebookEdit", {"notebook_path": "/p/n.ipynb", "new_source": "x"}, {"x": "SECRET"}, "edited n.ipynb"),
        ("Write", {"file_path": "/q/a.py", "content": "1\n2\n"}, {"content": "SECRET"}, "wrote /q/a.py (+2 −0)"),
        (
            "write_file",
            {"file_path": "/p/a", "content": "1"},
            {"returnDisplay": {"isNewFile": True}},
            "created a (+1 −0)",
        ),
        (
            "MultiEdit",
            {"file_path": "/p/a", "edits": [{"old_string": "SECRET", "new_string": "b\nc"}]},
            None,
            "edited a (+2 −1)",
        ),
        ("read_many_files", {"paths": ["a", "b"]}, "SECRET", "read a, b"),
        ("view", {"path": "C:\\p\\a.py"}, "SECRET", "read C:\\p\\a.py"),
        ("str_replace_editor", {"command": "view", "path": "/p/a"}, "SECRET", "read a"),
        ("str_replace_editor", {"command": "create", "path": "/p/a", "file_text": "SECRET"}, "ok", "edited a (+1 −0)"),
        ("read_many_files", {"paths": [str(n) for n in range(10)]}, "x", "read 0, 1, 2, 3, 4, 5, 6, 7 and 2 more"),
    ],
)
def test_file_tools_say_what_they_did_and_keep_no_content(tool, given, response, body, seen):
    observation = seen("PostToolUse", {"tool_name": tool, "tool_input": given, "tool_response": response}, cwd="/p")
    assert observation.body == body
    assert observation.tool.command == ""
    assert "SECRET" not in repr(observation)


def test_a_failed_edit_keeps_the_first_line_of_the_reason(seen):
    payload = {
        "tool_name": "Edit",
        "tool_input": {"file_path": "/p/a"},
        "error": "String not found in file.\nString: CONTENT",
    }
    assert seen("PostToolUseFailure", payload).body == "String not found in file."


def test_a_search_keeps_what_it_found(seen):
    payload = {
        "tool_name": "Grep",
        "tool_input": {"pattern": "x", "path": "/p"},
        "tool_response": {"content": "a.py:1:x"},
    }
    observation = seen("PostToolUse", payload)
    assert (observation.body, observation.tool.files) == ("a.py:1:x", ())


def test_a_call_without_output_says_so(seen):
    payload = {"tool_name": "Bash", "tool_input": {"command": "true"}, "tool_response": {"stdout": "", "stderr": ""}}
    assert seen("PostToolUse", payload).body == "(no output)"


def test_a_call_of_which_the_project_keeps_only_the_outline_has_no_body(seen):
    payload = {
        "tool_name": "Read",
        "tool_family": "file",
        "_ai_memory_capture": {"version": 1, "disposition": "metadata-only"},
    }
    observation = seen("PostToolUse", payload)
    assert (observation.title, observation.body) == ("Read", "")


def test_commands_and_paths_are_scrubbed_and_capped(seen):
    token = "ghp" + "_" + "A1b2C3d4E5F6g7H8i9J0K1l2M3n4O5p6"
    payload = {
        "tool_name": "Bash",
        "tool_input": {"command": f"push {token} " + "x" * 2_000, "file_path": "/home/bob/.ssh/id_rsa"},
    }
    tool = seen("PreToolUse", payload).tool
    assert tool.command == "push [REDACTED:github-token] " + "x" * 970 + "…"
    assert tool.files == ("[REDACTED:credential-path]",)


# --- any other agent -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "payload", "body"),
    [
        ("user-prompt", {"query": "do it"}, "do it"),
        ("user-prompt", {"session_id": "s", "request": {"words": "do it"}}, '{"request":{"words":"do it"}}'),
        ("stop", {"response": {"content": [{"text": "done"}]}}, "done"),
        ("stop", {"session_id": "s", "final": "all done", "turn_id": "t"}, '{"final":"all done"}'),
        ("post-tool-use", {"tool": "t", "result": ["a", 1, None, {"text": "b"}]}, "a\n1\nb"),
        (
            "post-tool-use",
            {"toolCall": {"name": "t", "args": {"x": 1}}, "outcomeText": "fine"},
            '{"toolCall":{"name":"t","args":{"x":1}},"outcomeText":"fine"}',
        ),
        ("post-tool-use", {"tool_name": "t", "extra": {"result": "from extra", "tool_call_id": "c"}}, "from extra"),
        ("post-tool-use", {"tool_name": "t", "tool_result": {"text_result_for_llm": "copilot"}}, "copilot"),
        ("notification", {"text": "waiting"}, "waiting"),
        ("build.done", {"name": "ci", "details": "green in 4 min"}, "green in 4 min"),
        ("build.done", {"outer": {"inner": "text"}}, '{"outer":{"inner":"text"}}'),
    ],
)
def test_an_unknown_agents_text_is_never_lost(event, payload, body, seen):
    assert seen(event, payload, agent="zcode").body == body


def test_an_extension_event_keeps_its_namespace_and_its_name(seen):
    observation = seen(
        "deploy", {"title": "Deployed 1.2", "body": "to staging"}, extension="acme.ci", source_event="deploy.done"
    )
    assert (observation.kind, observation.source_event, observation.note) == (Kind.OTHER, "deploy.done", "acme.ci")
    assert (observation.title, observation.body) == ("Deployed 1.2", "to staging")


def test_an_event_without_any_text_leaves_nothing(seen):
    for event in ("user-prompt", "notification", "deploy"):
        assert seen(event, {"session_id": ID, "cwd": "/p", "n": 1}) == Skipped("no-content")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.sampled_from(
    "prompt tool_name tool_input tool_response input output args event payload properties info path parts model source "
    "error agent_id session cwd summary message text hook_event_name mcp_server toolCall extra _ai_memory_capture edits".split()
)
_SCRUB = Scrubber().scrub


@settings(max_examples=400, deadline=None)
@given(
    st.dictionaries(_KEYS, _JSON, max_size=6),
    st.sampled_from(
        [
            "session-start",
            "user-prompt",
            "pre-tool-use",
            "post-tool-use",
            "stop",
            "post-compaction",
            "x",
            "notification",
        ]
    ),
    st.sampled_from(sorted(AGENTS)),
)
def test_any_payload_gives_an_observation_or_a_reason(payload, event, agent):
    observed = observe(event=event, agent=AGENTS[agent], payload=payload, at=AT, scrub=_SCRUB)
    assert isinstance(observed, Observation | Skipped)
    session_key(payload)
    if isinstance(observed, Observation):
        json.dumps([observed.title, observed.body]).encode()
        observed.body.encode()
        assert observed.title
        assert len(observed.title) <= 80
