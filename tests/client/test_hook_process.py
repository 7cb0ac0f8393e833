"""The real stub as a process, as an agent starts it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from loopback import AGENTS, ROOT, until

from ai_memory.client import notes, spool

EVENTS = ("session-start", "user-prompt", "post-tool-use", "stop", "session-end", "notification")
JSON_AGENTS = ("claude-code", "codex", "gemini-cli")
SECRET = "hunter22-hunter22-hunter22"


def pending(data_dir):
    return len(spool.names(str(data_dir)))


def summary(data_dir):
    return notes.summary(str(data_dir))


def empty(agent):
    return b"{}\n" if agent in JSON_AGENTS else b""


@pytest.fixture
def dead(points_to, free_port):
    points_to(f"http://127.0.0.1:{free_port}")


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("stem", EVENTS)
def test_the_exact_bytes_for_every_agent_and_event(hook, data_dir, dead, agent, stem):
    payloads = [{"prompt": "é"}, b"", b"not json", b"[1,2]", b'{"a":', b"\xff\xfe\x00", b"\0\0\0"]
    replies = [hook(agent, stem, payload) for payload in payloads]
    assert [(reply.status, reply.out) for reply in replies] == [(0, empty(agent))] * len(payloads)
    assert replies[0].err == ""
    assert all(
        reply.err.startswith("ai-memory: the event is not JSON: ") and reply.err.count("\n") == 1
        for reply in replies[1:]
    )
    assert summary(data_dir)["counts"]["invalid-json"] == len(payloads) - 1
    assert pending(data_dir) == 1


@pytest.mark.parametrize("agent", AGENTS)
def test_text_of_every_kind_arrives_as_it_was(hook, server, points_to, agent, project):
    points_to(server.url)
    text = 'é 中文 😀 \x1b[31m \0 " \\ \n \u2028'
    body = {"session_id": "s-1", "cwd": str(project), "prompt": text}
    hook(agent, "user-prompt", b"\xef\xbb\xbf" + json.dumps(body, ensure_ascii=False).encode())
    hook(agent, "stop", json.dumps(body).encode())
    until(lambda: len(server.stored) == 2)
    assert [found["prompt"] for found in server.bodies()] == [text, text]
    assert [(item["query"]["event"], item["query"]["agent"]) for item in server.stored.values()] == [
        ("user-prompt", agent),
        ("stop", agent),
    ]


MODES = ["refused", "hang", 500, 408, 425, 429, "commit-and-drop", "token"]


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("mode", MODES)
def test_whatever_the_server_does_every_event_is_stored_once(hook, server, data_dir, points_to, free_port, agent, mode):
    points_to(f"http://127.0.0.1:{free_port}" if mode == "refused" else server.url)
    if mode == "token":
        server.token = "new"
        (data_dir / "auth-token").write_text("old")
    else:
        server.mode = mode
    replies = [hook(agent, stem, {"n": stem}) for stem in ("user-prompt", "post-tool-use", "stop")]
    assert [(reply.status, reply.out, reply.err) for reply in replies] == [(0, empty(agent), "")] * 3
    assert max(reply.seconds for reply in replies) < 0.5
    until(lambda: mode == "hang" or set(summary(data_dir)["counts"]) & {"unreachable", "busy", "refused"})
    points_to(server.url)
    (data_dir / "auth-token").write_text("new")
    server.mode = "ok"
    server.go_on.set()
    hook(agent, "stop", {"n": "last"})
    until(lambda: pending(data_dir) == 0)
    assert sorted(body["n"] for body in server.bodies()) == ["last", "post-tool-use", "stop", "user-prompt"]


def test_a_killed_hook_and_its_backlog_are_made_up_for_by_the_next(
    hook, server, data_dir, dead, points_to, client_dir, environment, project
):
    hook("claude-code", "user-prompt", {"n": "first"})
    until(lambda: "unreachable" in summary(data_dir)["counts"])
    [name] = spool.names(str(data_dir))
    header, payload = spool.read(str(data_dir), name)
    for _ in range(499):
        spool.put(str(data_dir), {**header, "key": spool.new_key()}, payload)
    points_to(server.url)
    server.item_secs = 0.002
    killed = subprocess.Popen(
        [client_dir / "claude-code" / "hook.sh", "session-start"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    killed.stdin.write(json.dumps({"session_id": "s", "cwd": str(project)}).encode())
    killed.stdin.close()
    with pytest.raises(subprocess.TimeoutExpired):
        killed.wait(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    server.item_secs = 0.0
    assert hook("claude-code", "stop", {"n": "next"}).seconds < 0.5
    until(lambda: pending(data_dir) == 0)
    assert len(server.stored) in (501, 502)


def test_a_drainer_survives_the_death_of_the_hooks_process_group(
    server, data_dir, points_to, client_dir, environment, project
):
    points_to(server.url)
    server.mode = "hang"
    started = subprocess.Popen(
        [client_dir / "codex" / "hook.sh", "stop"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    # The agent waits for the end of the output; a drainer that held the pipe would keep it waiting.
    out, _ = started.communicate(json.dumps({"session_id": "s", "cwd": str(project)}).encode(), timeout=2)
    assert out == b"{}\n"
    with pytest.raises(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    server.mode = "ok"
    server.go_on.set()
    until(lambda: len(server.stored) == 1)


@pytest.mark.parametrize("sent", [b"", b'{"session_id":', b'{"session_id":"s","cwd":"/src/x"}'])
def test_a_stdin_that_is_never_closed_does_not_hold_the_agent(data_dir, dead, client_dir, environment, sent):
    started = time.monotonic()
    waiting = subprocess.Popen(
        [client_dir / "gemini-cli" / "hook.sh", "user-prompt"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    waiting.stdin.write(sent)
    waiting.stdin.flush()
    assert waiting.wait(5) == 0
    assert time.monotonic() - started < (0.4 if sent.endswith(b"}") else 1.0)
    assert waiting.stdout.read() == b"{}\n"
    stderr = waiting.stderr.read().decode()
    for stream in (waiting.stdin, waiting.stdout, waiting.stderr):
        stream.close()
    if sent.endswith(b"}"):
        assert (stderr, pending(data_dir)) == ("", 1)
    else:
        assert stderr == f"ai-memory: the event did not arrive: the pipe stayed open after {len(sent)} bytes\n"
        assert summary(data_dir)["counts"] == {"stdin-open": 1}


@pytest.mark.parametrize("agent", AGENTS)
def test_a_spool_that_cannot_be_written_is_said_and_known(hook, data_dir, server, points_to, agent):
    points_to(server.url)
    server.context = "the handoff"
    (data_dir / "hook-spool").write_text("")
    reply = hook(agent, "stop", {})
    assert (reply.status, reply.out) == (0, empty(agent))
    assert reply.err.startswith("ai-memory: the event could not be kept: ")
    assert reply.err.count("\n") == 1
    found = summary(data_dir)
    assert (found["counts"], found["spool"]["writable"]) == ({"unwritable": 1}, False)
    assert b"the handoff" in hook(agent, "session-start", {}).out


def test_at_home_and_at_the_root_nothing_is_kept_or_asked(hook, data_dir, server, points_to, own_home):
    points_to(server.url)
    server.context = "the handoff"
    for cwd in (str(own_home), "/"):
        for stem in ("session-start", "user-prompt", "stop"):
            reply = hook("claude-code", stem, {"cwd": cwd})
            assert (reply.status, reply.out, reply.err) == (0, b"{}\n", "")
    assert (summary(data_dir)["counts"], server.asked, server.posted) == ({"at-home": 6}, [], 0)
    assert not (data_dir / "hook-spool").exists()


@pytest.mark.parametrize("agent", AGENTS)
def test_a_session_start_delivers_first_and_gives_the_context(
    hook, server, data_dir, points_to, dead, free_port, agent, project
):
    hook(agent, "stop", {"n": "of the session before"})
    until(lambda: "unreachable" in summary(data_dir)["counts"])
    points_to(server.url)
    server.context = '📥 ai-memory: pending handoff\n\x1b "é 中"\n'
    reply = hook(agent, "session-start", {"source": "startup"})
    text = server.context.strip()
    if agent in JSON_AGENTS:
        assert reply.out.isascii()
        assert json.loads(reply.out) == {
            "hookSpecificOutput": {"hookEventName": "SessionStart", "additionalContext": text}
        }
    else:
        assert reply.out == text.encode()
    assert (reply.status, reply.err, pending(data_dir)) == (0, "", 0)
    assert [item["query"]["event"] for item in server.stored.values()] == ["stop", "session-start"]
    assert server.asked == [{"agent": agent, "cwd": str(project), "session_id": "s-1"}]


@pytest.mark.parametrize("mode", ["hang", "drip", 500, 404, "garbage", "page", "refused"])
def test_a_session_starts_within_a_second_whatever_the_server_does(hook, server, data_dir, points_to, free_port, mode):
    points_to(f"http://127.0.0.1:{free_port}" if mode == "refused" else server.url)
    server.mode = mode
    reply = hook("claude-code", "session-start", {})
    assert (reply.status, reply.out, reply.err) == (0, b"{}\n", "")
    assert reply.seconds < 1.0
    if mode in ("hang", "drip"):
        # A late server must not take a handoff out for nobody.
        assert server.asked == []
    server.mode = "ok"
    server.go_on.set()
    points_to(server.url)
    hook("claude-code", "stop", {})
    until(lambda: pending(data_dir) == 0)
    assert len(server.stored) == 2


HOLD = "import sys\nfrom ai_memory.client import spool\nwith spool.DrainLock(sys.argv[1]):\n    print('mine', flush=True)\n    sys.stdin.read()\n"


def test_while_another_delivery_hangs_a_start_asks_all_the_same_and_leaves_its_event_to_a_drainer(
    hook, server, data_dir, points_to, dead
):
    hook("codex", "stop", {})
    until(lambda: "unreachable" in summary(data_dir)["counts"])
    until(lambda: not spool.is_held(str(data_dir)))
    points_to(server.url)
    server.context = "the handoff"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    holder.stdout.readline()
    reply = hook("codex", "session-start", {})
    assert b"the handoff" in reply.out
    assert reply.seconds < 1.0
    holder.communicate()
    until(lambda: pending(data_dir) == 0)
    assert len(server.stored) == 2


@pytest.mark.parametrize("kind", ["text/html", "application/json", ""])
def test_only_plain_text_is_given_to_a_model(hook, server, points_to, data_dir, kind):
    points_to(server.url)
    server.context, server.context_type = "<html>login</html>", kind
    assert hook("codex", "session-start", {}).out == b"{}\n"
    assert summary(data_dir)["counts"]["bad-answer"] == 1


def test_an_agent_that_was_never_seen_to_inject_is_not_asked_for(
    server, points_to, data_dir, client_dir, hook, project
):
    points_to(server.url)
    server.context = "the handoff"
    shutil.copytree(client_dir / "codex", client_dir / "crush")
    assert hook("crush", "session-start", {}).out == b"{}\n"
    assert (server.asked, len(server.stored)) == ([], 1)


def test_a_large_backlog_does_not_cost_the_start_its_context(hook, server, data_dir, points_to, dead):
    hook("codex", "post-tool-use", {})
    until(lambda: "unreachable" in summary(data_dir)["counts"])
    [name] = spool.names(str(data_dir))
    header, payload = spool.read(str(data_dir), name)
    for _ in range(2000):
        spool.put(str(data_dir), {**header, "key": spool.new_key()}, payload)
    points_to(server.url)
    server.item_secs, server.context = 0.001, "the handoff"
    reply = hook("codex", "session-start", {})
    assert b"the handoff" in reply.out
    assert reply.seconds < 1.0
    server.item_secs = 0.0
    until(lambda: pending(data_dir) == 0, 20)
    assert len(server.stored) == 2002


def test_a_marker_routes_events_and_questions(hook, server, points_to, project):
    points_to(server.url)
    (project / ".ai-memory.toml").write_text(
        'workspace = "acme"\nproject = "shop"\n[briefing]\ninject_on_session_start = true\n'
    )
    hook("codex", "session-start", {})
    sent = {
        "workspace": "acme",
        "project": "shop",
        "project_src": "marker",
        "briefing": "1",
        "agent": "codex",
        "cwd": str(project),
    }
    assert server.asked == [{**sent, "session_id": "s-1"}]
    query = next(iter(server.stored.values()))["query"]
    assert {name: query[name] for name in sent} == sent
    hook("codex", "session-start", {}, AI_MEMORY_IGNORE_MARKER="1")
    assert server.asked[1] == {"agent": "codex", "cwd": str(project), "session_id": "s-1"}


def test_a_bad_marker_keeps_events_here_and_asks_for_nothing(hook, server, points_to, data_dir, project):
    points_to(server.url)
    (project / ".ai-memory.toml").write_text('projekt = "shop"\n')
    reply = hook("codex", "session-start", {})
    assert (reply.status, reply.out) == (0, b"{}\n")
    assert f"{project}/.ai-memory.toml, line 1: projekt is not a key of a marker" in reply.err
    assert reply.err.count("\n") == 1
    until(lambda: summary(data_dir)["waiting"])
    assert (server.asked, server.stored, pending(data_dir)) == ([], {}, 1)
    (project / ".ai-memory.toml").write_text('project = "shop"\n')
    hook("codex", "stop", {})
    until(lambda: pending(data_dir) == 0)
    assert [item["query"]["project"] for item in server.stored.values()] == ["shop", "shop"]


def test_what_a_marker_excludes_never_reaches_the_spool(hook, data_dir, dead, project):
    (project / ".ai-memory.toml").write_text('[capture]\nignore_paths = ["secrets/**"]\ncapture_prompts = false\n')
    hook(
        "claude-code",
        "post-tool-use",
        {"tool_name": "Read", "tool_input": {"file_path": "secrets/key"}, "tool_response": SECRET},
    )
    hook(
        "claude-code",
        "post-tool-use",
        {"tool_name": "Bash", "tool_input": {"command": "cat secrets/key"}, "tool_response": SECRET},
    )
    hook("claude-code", "user-prompt", {"prompt": SECRET})
    assert summary(data_dir)["counts"]["policy-dropped"] == 2
    [name] = spool.names(str(data_dir))
    _, payload = spool.read(str(data_dir), name)
    assert SECRET not in payload.decode()
    assert json.loads(payload)["_ai_memory_capture"]["disposition"] == "keep"


def test_no_token_and_no_credential_is_in_the_spool_or_an_argument(hook, data_dir, project, server, points_to):
    points_to(server.url)
    server.mode = "hang"
    subprocess.run(["git", "init", "-q", project], check=True)
    subprocess.run(
        ["git", "-C", project, "remote", "add", "origin", f"https://ann:{SECRET}@h.org/shop.git"], check=True
    )
    (data_dir / "auth-token").write_text(SECRET)
    address = server.url.replace("http://", f"http://ann:{SECRET}@")
    hook("codex", "stop", {}, AI_MEMORY_AUTH_TOKEN=SECRET, AI_MEMORY_HOOK_URL=address)
    until(lambda: server.posted)
    drainers = []
    for process in os.listdir("/proc"):
        if process.isdigit():
            try:
                with open(f"/proc/{process}/cmdline", "rb") as file:
                    arguments = file.read()
            except OSError:
                continue
            if str(data_dir).encode() in arguments:
                drainers.append(arguments)
    assert drainers
    assert not [arguments for arguments in drainers if SECRET.encode() in arguments]
    where = spool.folder(str(data_dir))
    texts = [(data_dir / "hook-spool" / name).read_bytes() for name in os.listdir(where)]
    assert not [text for text in texts if SECRET.encode() in text]
    assert SECRET not in (data_dir / "hook-state" / "client.log").read_text()
    server.mode = "ok"
    server.go_on.set()
    until(lambda: len(server.stored) == 1)
    found = next(iter(server.stored.values()))
    assert (found["query"]["identity"], found["headers"]["Authorization"]) == ("h.org/shop", f"Bearer {SECRET}")


def test_a_storm_of_events_makes_no_storm_of_attempts(hook, data_dir, dead):
    hook("codex", "post-tool-use", {})
    until(lambda: "unreachable" in summary(data_dir)["counts"])
    for _ in range(20):
        hook("codex", "post-tool-use", {})
    assert summary(data_dir)["counts"] == {"stored": 21, "unreachable": 1}
    hook("codex", "stop", {})
    until(lambda: summary(data_dir)["counts"]["unreachable"] == 2)


def test_a_storm_at_a_live_server_loses_and_doubles_nothing(
    hook, data_dir, server, points_to, client_dir, environment, project
):
    points_to(server.url)
    body = json.dumps({"session_id": "s", "cwd": str(project)}).encode()
    for _ in range(5):
        running = []
        for _ in range(8):
            process = subprocess.Popen(
                [client_dir / "codex" / "hook.sh", "post-tool-use"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=environment,
            )
            process.stdin.write(body)
            process.stdin.close()
            running.append(process)
        assert [process.wait(10) for process in running] == [0] * 8
    until(lambda: pending(data_dir) == 0)
    assert len(server.stored) == 40


def test_a_payload_of_five_megabytes_arrives_whole(hook, server, points_to):
    points_to(server.url)
    text = "x y é\n" * 800_000
    reply = hook("gemini-cli", "post-tool-use", {"tool_response": text})
    assert (reply.out, reply.err) == (b"{}\n", "")
    until(lambda: server.stored)
    assert server.bodies()[0]["tool_response"] == text


def test_the_stub_works_in_a_checkout_and_from_any_folder(tmp_path, environment, own_home):
    checkout = tmp_path / "a checkout's folder"
    shutil.copytree(ROOT / "hooks", checkout / "hooks")
    shutil.copytree(
        ROOT / "ai_memory" / "client", checkout / "ai_memory" / "client", ignore=shutil.ignore_patterns("__pycache__")
    )
    body = json.dumps({"session_id": "s", "cwd": "/src/shop"}).encode()
    environment["AI_MEMORY_DATA_DIR"] = str(tmp_path / "my data")
    environment["PATH"] = (
        os.path.dirname(os.path.realpath(shutil.which("python3.11") or shutil.which("python3"))) + ":/usr/bin:/bin"
    )
    folder = checkout / "hooks" / "codex"
    for command, cwd in (
        [[folder / "hook.sh"], tmp_path],
        [["./hook.sh"], folder],
        [["sh", "hook.sh"], folder],
        [["sh", "codex/hook.sh"], folder.parent],
    ):
        done = subprocess.run([*command, "stop"], input=body, env=environment, cwd=cwd, capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"{}\n", b"")
    assert pending(tmp_path / "my data") == 4


@pytest.mark.parametrize("missing", ["client", "python"])
def test_without_interpreter_or_client_the_agent_goes_on(client_dir, environment, missing):
    if missing == "client":
        shutil.rmtree(client_dir / "client")
    else:
        (client_dir / "python").write_text("/nowhere/python3")
        environment["PATH"] = "/nowhere"
    done = subprocess.run(
        ["/bin/sh", client_dir / "codex" / "hook.sh", "stop"], input=b"{}", env=environment, capture_output=True
    )
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr == b"ai-memory: the hook client or a Python 3 is missing, this event is not kept\n"


def test_a_hook_without_an_event_says_how_it_is_called(client_dir, environment):
    done = subprocess.run([client_dir / "codex" / "hook.sh"], input=b"{}", env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (
        0,
        b"ai-memory: usage: hook.sh EVENT, for example hook.sh stop; this event is not kept\n",
    )


def test_an_error_nobody_thought_of_still_answers_and_is_counted(hook, client_dir, data_dir):
    with open(client_dir / "client" / "place.py", "a") as file:
        file.write("\n\ndef look(*a, **k):\n    raise RuntimeError('unthought of')\n")
    reply = hook("claude-code", "stop", {})
    assert (reply.status, reply.out, reply.err) == (
        0,
        b"{}\n",
        "ai-memory: the hook failed: RuntimeError: unthought of\n",
    )
    assert summary(data_dir)["counts"] == {"failed": 1}


def test_an_agent_that_closed_its_end_is_no_problem(client_dir, environment, dead, data_dir, project):
    mine, theirs = os.pipe()
    os.close(mine)
    body = json.dumps({"session_id": "s", "cwd": str(project)}).encode()
    done = subprocess.run(
        [client_dir / "codex" / "hook.sh", "stop"], input=body, stdout=theirs, stderr=subprocess.PIPE, env=environment
    )
    os.close(theirs)
    assert (done.returncode, done.stderr, pending(data_dir)) == (0, b"", 1)
