"""One agent stops, another starts in the same directory and knows: the real programs, the real server."""

import threading
from pathlib import Path

import pytest
from desk import THEIRS, answers, until
from model import Step, told

# The time that npm needs is not the test's.
pytestmark = [pytest.mark.agents, pytest.mark.timeout(240, func_only=True)]

NEEDLE = "QUAGGA-7781: the tokenizer is done, the parser stops at line 40"
#: A daemon has no other tie to the test than its environment.
NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="its daemon could not be ended")
PAIRS = [
    ("claude-code", "codex"),
    ("codex", "claude-code"),
    ("claude-code", "gemini-cli"),
    ("gemini-cli", "opencode"),
    ("opencode", "claude-code"),
]


def only_added_to(before, after):
    """Tell whether a file still holds every byte of its text, in order."""
    left = iter(after)
    return all(byte in left for byte in before)


def assert_told(requests, text):
    """The first request holds the text inside the fence of untrusted history, and nowhere else."""
    inside, outside = told(requests[0])
    assert text in inside
    assert text not in outside


def assert_not_told(requests, text):
    inside, outside = told(requests[0])
    assert text not in inside + outside


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_the_next_agent_is_told_and_the_users_settings_survive(desk, first, second):
    before = desk.settings()
    with desk.server():
        said = desk.install(first, second)
        wired = desk.settings()
        if "codex" in (first, second):
            desk.approve_codex_hooks()
        desk.run(first, *answers(f"Handing over. {NEEDLE}"), asks="Please finish the tokenizer.")
        assert_told(desk.run(second, Step("Going on.")), NEEDLE)
        desk.uninstall()
    after = desk.settings()
    assert said.count("✓ The test event reached the server") == 2
    assert [name for name, text in before.items() if not only_added_to(text, wired[name])] == []
    assert desk.own_hooks() == [first, second]
    assert {name: after[name] for name in after if name not in THEIRS} == {
        name: before[name] for name in before if name not in THEIRS
    }


def test_codex_is_told_nothing_before_its_hooks_are_approved_and_status_says_why(desk):
    with desk.server():
        desk.install("claude-code", "codex")
        desk.run("claude-code", *answers(f"Handing over. {NEEDLE}"))
        requests = desk.run("codex", Step("I know nothing."))
        status = desk.memory("status")
    assert_not_told(requests, NEEDLE)
    assert "Codex has not approved the hooks. Open Codex, type /hooks and approve them." in status.stdout


@pytest.mark.parametrize(("first", "second"), [("claude-code", "codex"), ("codex", "claude-code")])
def test_an_agent_killed_after_its_last_answer_has_handed_over(desk, first, second):
    (desk.home / "busy").touch()
    with desk.server():
        desk.install("claude-code", "codex")
        desk.approve_codex_hooks()
        script = desk.model.script(*answers(f"Nearly there. {NEEDLE}"))
        killed = desk.start(first, f"Please finish the tokenizer. {script.tag}")
        until(lambda: desk.holds(NEEDLE), "the answer is kept")
        desk.kill(killed)
        (desk.home / "busy").unlink()
        assert_told(desk.run(second, Step("Going on.")), NEEDLE)
        until(lambda: desk.waiting() == [], "everything is delivered")
    assert desk.events(first)[-1] == "stop"


#: Agent, its options, the next agent, the last event that comes, whether something goes on without a window.
WINDOWS = [
    pytest.param("claude-code", [], "codex", "session-end", False, id="claude-code"),
    pytest.param("codex", [], "claude-code", "stop", True, id="codex", marks=NEEDS_PROC),
    pytest.param("codex", ["--no-daemon"], "claude-code", "stop", False, id="codex-without-daemon"),
]


@pytest.mark.parametrize(("first", "options", "second", "last_event", "goes_on"), WINDOWS)
def test_an_agent_whose_window_is_closed_has_handed_over(desk, first, options, second, last_event, goes_on):
    with desk.server():
        desk.install("claude-code", "codex")
        desk.approve_codex_hooks()
        script = desk.model.script(*answers(f"Nearly there. {NEEDLE}"))
        window = desk.window(first, f"Please finish the tokenizer. {script.tag}", *options)
        window.until(lambda: desk.holds(NEEDLE), "the answer is kept")
        window.close()
        daemons = [command for command in desk.processes().values() if "app-server" in command]
        assert_told(desk.run(second, Step("Going on.")), NEEDLE)
        until(lambda: desk.waiting() == [], "everything is delivered")
        assert desk.events(first)[-1] == last_event
        assert bool(daemons) is goes_on


def test_of_two_agents_at_work_each_hands_over_whole_turns_only_and_never_to_itself(desk):
    go = threading.Event()
    with desk.server():
        desk.install("claude-code", "codex", "gemini-cli")
        desk.approve_codex_hooks()
        desk.run("claude-code", *answers("ZEBRA-1: the lexer is done."), asks="Please finish the lexer.")
        second_turn = desk.model.script(*answers(NEEDLE, after=go))
        claude = desk.start("claude-code", f"AARDVARK-2: now the parser. {second_turn.tag}", going_on=True)
        desk.model.wait_for(second_turn, 3)

        codex = desk.run("codex", *answers("OKAPI-3: the README is done."), asks="Please write the README.")
        go.set()
        assert claude.wait(60) == 0
        gemini = desk.run("gemini-cli", Step("GNU-4: looked around."))
        claude_again = desk.run("claude-code", Step("Yes."), going_on=True)

    for needle in ("ZEBRA-1", "AARDVARK-2", NEEDLE):
        assert_not_told(codex, needle)
    assert_told(gemini, NEEDLE)
    assert told(second_turn.requests[0])[0] == ""
    # Resumed, it gets what the last one left, and still nothing of its own.
    assert "GNU-4" in told(claude_again[0])[0]
    assert NEEDLE not in told(claude_again[0])[0]


def test_what_was_done_without_a_server_is_told_once_there_is_one(desk):
    said = desk.install("claude-code", "codex")
    desk.approve_codex_hooks()
    desk.run("claude-code", *answers(f"Handing over. {NEEDLE}"))
    with desk.server():
        assert_told(desk.run("codex", Step("Going on.")), NEEDLE)
        until(lambda: desk.waiting() == [], "everything is delivered")
    assert said.count("No server answers at") == 2
