import json

import pytest

from ai_memory.client.policy import Patterns, TooMuchError, apply_policy

ROOT = "/src/shop"
HOME = "/home/ann"


def policy(*patterns, **flags):
    lines = [f"{key} = {json.dumps(value)}" for key, value in flags.items()]
    return [
        (f"{ROOT}/.ai-memory.toml", "[capture]\nignore_paths = " + json.dumps(list(patterns)) + "\n" + "\n".join(lines))
    ]


def call(tool, given, **more):
    return {
        "session_id": "s",
        "cwd": ROOT,
        "tool_name": tool,
        "tool_input": given,
        "tool_use_id": "t1",
        "tool_response": "CONTENT",
        **more,
    }


def verdict(tool, given, *patterns, cwd=ROOT):
    return apply_policy(policy(*patterns), "post-tool-use", call(tool, given), cwd, HOME).disposition


GLOBS = [
    ("secrets/**", "secrets/a/b.txt", True),
    ("secrets/**", "secrets", True),
    ("secrets/", "secrets/key", True),
    ("secrets/*", "secrets/a/b.txt", False),
    ("secrets/*", "secrets/a", True),
    ("secrets", "secrets/a", False),
    ("*.pem", "key.pem", True),
    ("*.pem", "a/key.pem", False),
    ("**/*.pem", "a/b/key.pem", True),
    ("**/*.pem", "key.pem", True),
    ("a/**/z/*.txt", "a/b/c/z/q.txt", True),
    ("a/**/z/*.txt", "a/z/q.txt", True),
    ("a/**/z/*.txt", "a/b/q.txt", False),
    ("k?y", "key", True),
    ("k?y", "ky", False),
    ("~/.ssh/**", "/home/ann/.ssh/id", True),
    ("/etc/passwd", "/etc/passwd", True),
    ("/etc/passwd", "etc/passwd", False),
    ("[a]", "[a]", True),
    ("[a]", "a", False),
    ("secrets/**", "./x/../secrets/key", True),
    ("secrets/**", f"/{ROOT}/secrets/key", True),
    ("secrets/**", f"{ROOT}//secrets///key", True),
    ("secrets/**", "other", False),
]


@pytest.mark.parametrize(("pattern", "path", "expected"), GLOBS)
def test_patterns_match_whole_paths(pattern, path, expected):
    assert Patterns([pattern], ROOT, HOME).match(path, ROOT) is expected


def test_a_pattern_also_finds_a_file_behind_another_name(tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key").write_text("")
    (tmp_path / "notes").symlink_to(tmp_path / "secrets" / "key")
    assert Patterns(["secrets/**"], str(tmp_path), HOME).match("notes", str(tmp_path))


def test_comparisons_are_bounded():
    patterns = Patterns(["*" + "a" * 1000 + "b"], ROOT, HOME)
    with pytest.raises(TooMuchError):
        patterns.match("a" * 4000, ROOT)


TOOLS = [
    ("Read", {"file_path": f"{ROOT}/secrets/key"}, "drop"),
    ("Read", {"file_path": "src/app.py"}, "keep"),
    ("Write", {"file_path": "secrets/key", "content": "x"}, "drop"),
    ("Edit", {"filePath": "secrets/key"}, "drop"),
    ("MultiEdit", {"file_path": "a.py"}, "keep"),
    ("NotebookEdit", {"notebook_path": "secrets/n.ipynb"}, "drop"),
    ("read_many_files", {"paths": ["a.py", "secrets/key"]}, "drop"),
    ("read_file", {"absolute_path": f"{ROOT}/secrets/key"}, "drop"),
    ("replace", {"file_path": "a.py"}, "keep"),
    ("apply_patch", {"command": "*** Begin Patch\n*** Update File: a.py\n*** Add File: secrets/new\n+x\n"}, "drop"),
    ("apply_patch", "*** Begin Patch\n*** Update File: a.py\n*** Move to: secrets/b\n", "drop"),
    ("apply_patch", {"command": "*** Begin Patch\n*** Update File: a.py\n+x\n"}, "keep"),
    ("patch", {"patchText": "--- a.py\n+++ secrets/key\n"}, "drop"),
    ("Read", {}, "metadata-only"),
    ("Read", {"file_path": 3}, "metadata-only"),
    ("Read", {"paths": ["p"] * 2 + [f"f{n}" for n in range(40)]}, "metadata-only"),
    ("Read", {"file_path": "x" * 5000}, "metadata-only"),
    ("Grep", {"pattern": "x"}, "drop"),
    ("Glob", {"pattern": "*"}, "drop"),
    ("search_file_content", {}, "drop"),
    ("list_directory", {}, "drop"),
    ("Bash", {"command": "ls src"}, "keep"),
    ("Bash", {"command": "cat secrets/key"}, "drop"),
    ("Bash", {"command": f"cat /{ROOT}/secrets/key"}, "drop"),
    ("Bash", {"command": "cd secrets && cat key"}, "drop"),
    ("Bash", {"command": "cat<./secrets/key"}, "drop"),
    ("Bash", {"command": "cat 'secrets/key'"}, "drop"),
    ("Bash", {"command": 'cat se"cre"ts/key'}, "drop"),
    ("Bash", {"command": "cat secr\\ets/key"}, "drop"),
    ("Bash", {"command": "curl --data=@secrets/key x"}, "drop"),
    ("Bash", {"command": "git show HEAD:secrets/key"}, "drop"),
    ("Bash", {"command": "echo $(cat secrets/key)"}, "drop"),
    ("shell", {"command": ["bash", "-lc", "cat secrets/key"]}, "drop"),
    ("run_shell_command", {"command": "cat key", "dir_path": "secrets"}, "drop"),
    ("bash", {"command": "cat key", "workdir": f"{ROOT}/secrets"}, "drop"),
    ("mcp__db__query", {"path": "secrets/key"}, "keep"),
    ("", {}, "keep"),
]


@pytest.mark.parametrize(("tool", "given", "expected"), TOOLS)
def test_tools_are_judged_by_their_paths(tool, given, expected):
    assert verdict(tool, given, "secrets/**") == expected


def test_a_shell_reaches_the_home_directory_by_any_name():
    for spelled in ("~/.ssh/id", "$HOME/.ssh/id", "${HOME}/.ssh/id", f"{HOME}/.ssh/id"):
        assert verdict("Bash", {"command": f"cat {spelled}"}, "~/.ssh/**") == "drop"


def test_what_is_kept_says_how_it_was_judged():
    body = apply_policy(policy("secrets/**"), "post-tool-use", call("Read", {"file_path": "a.py"}), ROOT, HOME).body
    assert body == {
        **call("Read", {"file_path": "a.py"}),
        "_ai_memory_capture": {
            "version": 1,
            "disposition": "keep",
            "policy_state": "active",
            "tool_family": "file",
            "path_count": 1,
            "extraction_state": "extracted",
        },
    }


def test_metadata_only_keeps_the_outline_and_nothing_of_the_content():
    body = apply_policy(policy("secrets/**"), "post-tool-use", call("Read", {}), ROOT, HOME).body
    assert body == {
        "session_id": "s",
        "cwd": ROOT,
        "tool_call_id": "t1",
        "tool_family": "file",
        "tool_name": "Read",
        "_ai_memory_capture": {
            "version": 1,
            "disposition": "metadata-only",
            "policy_state": "active",
            "tool_family": "file",
            "path_count": 0,
            "extraction_state": "missing-or-malformed",
        },
    }


@pytest.mark.parametrize(
    ("tool", "expected"),
    [("Read", "metadata-only"), ("Grep", "metadata-only"), ("Bash", "metadata-only"), ("mcp__x__y", "keep")],
)
def test_under_a_marker_that_cannot_be_read_tools_keep_only_their_outline(tool, expected):
    found = apply_policy(
        [(f"{ROOT}/.ai-memory.toml", "[capture")], "post-tool-use", call(tool, {"path": "a"}), ROOT, HOME
    )
    assert (found.disposition, found.body["_ai_memory_capture"]["policy_state"]) == (expected, "invalid")


def test_without_a_capture_section_nothing_changes():
    payload = call("Grep", {})
    found = apply_policy([(f"{ROOT}/.ai-memory.toml", 'project = "capture"')], "post-tool-use", payload, ROOT, HOME)
    assert (found.disposition, found.body) == ("keep", payload)


def test_a_nested_marker_without_a_capture_section_does_not_open_the_outer_one():
    markers = [(f"{ROOT}/sub/.ai-memory.toml", 'project = "capture"'), *policy("secrets/**")]
    payload = call("Read", {"file_path": "secrets/key"})
    assert apply_policy(markers, "post-tool-use", payload, ROOT, HOME).disposition == "drop"


SPEECH = {
    "session_id": "s",
    "prompt": "MINE",
    "prompt_response": "YOURS",
    "last_assistant_message": "YOURS",
    "message": "BOTH",
    "compact_summary": "BOTH",
    "tool_name": "Bash",
}


@pytest.mark.parametrize(
    ("flags", "stem", "left"),
    [
        (
            {"capture_prompts": False},
            "user-prompt",
            {"session_id", "prompt_response", "last_assistant_message", "tool_name"},
        ),
        (
            {"capture_prompts": False},
            "stop",
            {"session_id", "prompt_response", "last_assistant_message", "message", "tool_name"},
        ),
        ({"capture_assistant": False}, "stop", {"session_id", "prompt", "tool_name"}),
        ({"capture_assistant": False}, "user-prompt", {"session_id", "prompt", "message", "tool_name"}),
        ({"capture_assistant": False, "capture_prompts": False}, "stop", {"session_id", "tool_name"}),
        ({}, "stop", set(SPEECH)),
    ],
)
def test_text_that_was_switched_off_never_reaches_the_spool(flags, stem, left):
    body = apply_policy(policy(**flags), stem, SPEECH, ROOT, HOME).body
    assert set(body) == left | {"_ai_memory_capture"}


def test_big_commands_are_judged_in_time():
    text = "cat <<E\n" + "word/with/parts " * 20_000 + "\nE\n"
    assert verdict("Bash", {"command": text}, "secrets/**") == "keep"
    many = " ".join(f"dir{n}/file{n}" for n in range(20_000))
    assert verdict("Bash", {"command": many}, "**/*a*b*c*d", "secrets/**") in ("keep", "metadata-only")
