import json
import os
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.client import notes, spool
from ai_memory.client.deliver import MOST_BYTES, drain, item_text
from ai_memory.client.marker import MarkerError
from ai_memory.client.place import look

PLACE = {"cwd": "/src/shop", "markers": [], "root": "", "main_root": "", "identity": "", "at_home": False}
EVENT_MS = 1_767_225_600_123


@pytest.fixture
def put(data_dir):
    def put(count=1, payload=None, **more):
        keys = []
        for number in range(count):
            body = payload if payload is not None else {"session_id": "s", "n": number}
            header = {
                "created_ms": time.time_ns() // 10**6,
                "key": spool.new_key(),
                "agent": "codex",
                "event": "stop",
                "place": PLACE,
                **more,
            }
            spool.put(str(data_dir), header, body if isinstance(body, bytes) else json.dumps(body).encode())
            keys.append(header["key"])
        return keys

    return put


@pytest.fixture
def deliver(data_dir, points_to, server):
    points_to(server.url)

    def deliver(seconds=10.0, **more):
        found = drain(str(data_dir), time.monotonic() + seconds, **more)
        return found.delivered, found.left, found.dropped, found.outcome

    return deliver


def pending(data_dir):
    return len(spool.names(str(data_dir)))


def counts(data_dir):
    return notes.summary(str(data_dir))["counts"]


def test_an_event_arrives_with_its_key_time_place_and_body(put, deliver, server, data_dir):
    place = {**PLACE, "identity": "h.org/shop", "main_root": "/src/shop", "markers": [["/src/shop/m", 'project = "p"']]}
    keys = put(
        1, {"session_id": "s", "text": "é 中 😀 \0 \x1b"}, place=place, created_ms=EVENT_MS, strategy="repo-root"
    )
    # That long ago it would be pruned; only the time matters here.
    [name] = spool.names(str(data_dir))
    header, payload = spool.read(str(data_dir), name)
    sent = json.loads(item_text(header, payload))
    assert sent["body"] == {"session_id": "s", "text": "é 中 😀 \0 \x1b", "occurred_at": "2026-01-01T00:00:00.123Z"}
    assert sent["url"] == (
        f"/hook?event=stop&agent=codex&ingest_key={keys[0]}&cwd=%2Fsrc%2Fshop&project=p&project_strategy=repo-root"
        "&project_src=marker&identity=h.org%2Fshop&identity_src=git_remote&repo_root=%2Fsrc%2Fshop"
    )


def test_what_waits_is_delivered_once_in_order(put, deliver, server, data_dir):
    keys = put(600)
    assert deliver() == (600, 0, 0, "done")
    assert list(server.stored) == keys
    assert [body["n"] for body in server.bodies()] == list(range(600))
    assert deliver() == (0, 0, 0, "done")
    assert counts(data_dir) == {"delivered": 600}


def test_an_old_event_keeps_a_time_of_its_own(put, deliver, server):
    put(1, {"session_id": "s", "occurred_at": "2020-01-01T00:00:00Z"})
    deliver()
    assert server.bodies()[0]["occurred_at"] == "2020-01-01T00:00:00Z"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_later_means_keep_however_often(put, deliver, server, data_dir, status):
    put(3)
    server.mode = status
    for _ in range(20):
        assert deliver() == (0, 3, 0, "left")
    server.mode = "ok"
    assert deliver() == (3, 0, 0, "done")
    assert len(server.stored) == 3


@pytest.mark.parametrize("mode", [301, 400, 403, 404, 405, "page", "garbage"])
def test_an_address_that_is_not_our_server_costs_no_event(put, deliver, server, data_dir, mode):
    put(300)
    server.mode = mode
    assert deliver() == (0, 300, 0, "left")
    assert server.posted <= 2
    server.mode = "ok"
    assert deliver() == (300, 0, 0, "done")


def test_a_refused_connection_costs_no_event_and_one_attempt(put, deliver, server, data_dir, points_to, free_port):
    put(300)
    points_to(f"http://127.0.0.1:{free_port}")
    for _ in range(12):
        assert deliver() == (0, 300, 0, "left")
    assert counts(data_dir) == {"unreachable": 12}
    assert notes.is_paused(str(data_dir), time.time())
    points_to(server.url)
    assert deliver() == (300, 0, 0, "done")
    assert not notes.is_paused(str(data_dir), time.time())


def test_a_lost_reply_never_doubles_an_event(put, deliver, server):
    put(5)
    server.mode = "commit-and-drop"
    assert deliver() == (0, 5, 0, "left")
    server.mode = "ok"
    assert deliver() == (5, 0, 0, "done")
    assert len(server.stored) == 5


@pytest.mark.parametrize("mode", ["hang", "drip"])
def test_a_server_that_does_not_finish_is_left_at_the_deadline(put, deliver, server, mode):
    put(3)
    server.mode = mode
    started = time.monotonic()
    assert deliver(0.4) == (0, 3, 0, "late")
    assert time.monotonic() - started < 0.7
    server.mode = "ok"
    server.go_on.set()
    assert deliver() == (3, 0, 0, "done")
    assert len(server.stored) == 3


def test_a_slow_batch_is_waited_for(put, deliver, server):
    put(257)
    server.item_secs = 0.005
    assert deliver() == (257, 0, 0, "done")
    assert server.posted == 2


def test_a_rotated_token_is_read_again(put, deliver, server, data_dir, monkeypatch):
    put(2)
    server.token = "new"
    (data_dir / "auth-token").write_text("old\n")
    assert deliver() == (0, 2, 0, "left")
    assert "refused the token" in next(iter(notes.held(str(data_dir))))
    (data_dir / "auth-token").write_text("new\n")
    # An agent's daemon may still hold the old one in its environment.
    monkeypatch.setenv("AI_MEMORY_AUTH_TOKEN", "old")
    assert deliver() == (2, 0, 0, "done")


def test_a_token_that_no_header_can_hold_is_not_sent(put, deliver, server, data_dir):
    put(1)
    (data_dir / "auth-token").write_text("a\r\nX-Evil: b")
    assert deliver() == (1, 0, 0, "done")
    assert "X-Evil" not in next(iter(server.stored.values()))["headers"]


@pytest.mark.parametrize("bad", ["400", "failed_index"])
def test_a_bad_item_never_stalls_its_neighbours(put, deliver, server, data_dir, bad):
    put(100)
    put(1, {"session_id": "s", "bad": True})
    put(100)
    server.bad = bad
    assert deliver() == ((200, 0, 1, "done") if bad == "400" else (200, 1, 0, "left"))
    assert len(server.stored) == 200
    assert counts(data_dir) == {"delivered": 200, **({"dropped-refused": 1} if bad == "400" else {})}
    server.bad = None
    deliver()
    assert len(server.stored) == (200 if bad == "400" else 201)


def test_what_the_server_acknowledged_and_did_not_store_is_counted(put, deliver, server, data_dir):
    put(1)
    server.outcomes = ["dropped_collision"]
    assert deliver() == (1, 0, 0, "done")
    put(1)
    server.outcomes = ["dropped_subagent"]
    assert deliver() == (1, 0, 0, "done")
    assert counts(data_dir) == {"delivered": 2, "dropped-by-server": 1, "left-out-by-server": 1}


def test_gaps_in_an_answer_stay_in_the_spool(put, deliver, server):
    put(11)
    server.mode = "gaps"
    assert deliver() == (6, 5, 0, "left")
    server.mode = "ok"
    assert deliver() == (5, 0, 0, "done")
    assert len(server.stored) == 11


def test_a_dead_address_is_skipped_and_a_live_one_served(put, deliver, server, data_dir, free_port):
    put(200, url="http://192.0.2.1.invalid:9")
    put(100)
    assert deliver() == (100, 200, 0, "left")
    assert [*notes.held(str(data_dir)).values()] == [200]
    assert len(server.stored) == 100


def test_a_dead_loopback_address_gives_way_to_the_configured_one(put, deliver, server, free_port):
    put(200, url=f"http://127.0.0.1:{free_port}")
    put(10)
    assert deliver() == (210, 0, 0, "done")


def test_the_environment_names_the_address_first(put, deliver, server, points_to, free_port, monkeypatch):
    put(1)
    points_to(f"http://127.0.0.1:{free_port}")
    monkeypatch.setenv("AI_MEMORY_SERVER_URL", server.url)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port}")
    assert deliver() == (1, 0, 0, "done")


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999", "http://[::1"])
def test_an_address_that_is_none_is_named(put, deliver, data_dir, points_to, url):
    put(1)
    points_to(url)
    assert deliver() == (0, 1, 0, "left")
    assert next(iter(notes.held(str(data_dir)))).startswith(url)


def test_files_that_are_no_events_are_given_up_and_counted(put, deliver, server, data_dir):
    put(1)
    now = time.time_ns() // 10**6
    where = spool.folder(str(data_dir))
    for number, raw in enumerate([b"", b"x", b'{"created_ms":1,"key":"k","agent":"a","event":"e","place":{}}\n{}']):
        with open(os.path.join(where, f"{now}-{number}.event"), "wb") as file:
            file.write(raw)
    put(1, b"[1]")
    put(1, b"{nonsense")
    assert deliver() == (1, 0, 5, "done")
    assert counts(data_dir) == {"delivered": 1, "dropped-unreadable": 5}


def test_events_under_a_bad_marker_wait_until_it_is_repaired(put, deliver, server, data_dir, own_home, project):
    marker = project / ".ai-memory.toml"
    marker.write_text('projekt = "p"\n')
    put(2, place=look(str(project), str(own_home)).facts())
    put(1)
    assert deliver() == (1, 2, 0, "left")
    assert notes.summary(str(data_dir))["hints"][0].startswith(
        f"Waiting on this machine (2): {marker}, line 1: projekt"
    )
    marker.write_text('project = "p"\n')
    assert deliver() == (2, 0, 0, "done")
    assert [item["query"].get("project") for item in server.stored.values()] == [None, "p", "p"]


def test_a_good_marker_decides_as_it_was_when_the_event_happened(put, deliver, server, own_home, project):
    (project / ".ai-memory.toml").write_text('project = "then"\n')
    put(1, place=look(str(project), str(own_home)).facts())
    (project / ".ai-memory.toml").write_text('project = "now"\n')
    deliver()
    assert next(iter(server.stored.values()))["query"]["project"] == "then"


def test_the_installations_strategy_comes_from_the_client_settings(put, deliver, server, data_dir):
    (data_dir / "client.json").write_text(json.dumps({"server_url": server.url, "project_strategy": "repo-root"}))
    put(1, place={**PLACE, "main_root": "/src/main"})
    deliver()
    assert next(iter(server.stored.values()))["query"]["project"] == "main"


def test_a_batch_stays_below_the_size_limit(put, deliver, server):
    put(5, {"session_id": "s", "text": "x" * (3 << 20)})
    assert deliver() == (5, 0, 0, "done")
    assert server.posted >= 3


def test_long_texts_of_a_huge_event_are_replaced_whole(put, deliver, server):
    secret = "sk-" + "q" * 40
    put(1, {"session_id": "s", "tool_response": {"stdout": "x" * (9 << 20) + secret, "list": ["y" * 200_000, "short"]}})
    assert deliver() == (1, 0, 0, "done")
    [body] = server.bodies()
    assert body["tool_response"] == {
        "stdout": f"[{(9 << 20) + 43:,} characters left out: the event was too large]",
        "list": ["[200,000 characters left out: the event was too large]", "short"],
    }


def test_an_event_that_is_huge_in_small_pieces_is_given_up_and_counted(put, deliver, data_dir):
    put(1, {"session_id": "s", "list": ["x" * 1000] * 9000})
    assert deliver() == (0, 0, 1, "done")
    assert counts(data_dir) == {"too-large": 1}


def test_half_a_character_travels(put, deliver, server):
    put(1, b'{"session_id":"s","text":"\\ud83d"}')
    assert deliver() == (1, 0, 0, "done")
    assert server.bodies()[0]["text"] == "\ud83d"


HOLD = "import sys\nfrom ai_memory.client import spool\nwith spool.DrainLock(sys.argv[1]):\n    print('mine', flush=True)\n    sys.stdin.read()\n"


def test_one_delivery_at_a_time(put, deliver, data_dir):
    put(3)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    holder.stdout.readline()
    assert deliver() == (0, 3, 0, "busy")
    holder.communicate()
    assert deliver(lock_wait=1.0) == (3, 0, 0, "done")


def test_an_event_that_comes_during_a_delivery_is_not_left_lying(put, deliver, server, monkeypatch):
    put(1)
    came = []
    leave = spool.DrainLock.__exit__

    def late(*arguments):
        if not came:
            came.append(put(1))
        return leave(*arguments)

    monkeypatch.setattr(spool.DrainLock, "__exit__", late)
    assert deliver() == (2, 0, 0, "done")


def test_losses_to_the_bounds_are_counted(put, deliver, server, data_dir, monkeypatch):
    monkeypatch.setattr(spool, "MOST_FILES", 10)
    put(15)
    put(2, created_ms=EVENT_MS)
    server.mode = 503
    deliver()
    found = counts(data_dir)
    assert (found["dropped-age"], found["dropped-count"], len(spool.names(str(data_dir)))) == (2, 5, 10)


def test_an_event_from_a_clock_that_was_wrong_is_delivered_before_its_age_counts(put, deliver, server, data_dir):
    put(2, created_ms=946_771_200_000)
    assert deliver()[:3] == (2, 0, 0)


def test_an_empty_spool_asks_nobody(deliver, server):
    assert deliver() == (0, 0, 0, "done")
    assert server.posted == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_a_body_arrives_as_it_was_sent(body):
    header = {"created_ms": EVENT_MS, "key": "k", "agent": "codex", "event": "stop", "place": PLACE}
    text = item_text(header, json.dumps(body).encode())
    assert len(text) < MOST_BYTES
    assert json.loads(text)["body"] == {"occurred_at": "2026-01-01T00:00:00.123Z", **body}


def test_a_bad_marker_counts_as_long_as_it_is_there(project, own_home):
    header = {"created_ms": EVENT_MS, "key": "k", "agent": "codex", "event": "stop"}
    header["place"] = {**PLACE, "cwd": "/nowhere", "markers": [["/nowhere/.ai-memory.toml", "nonsense"]]}
    # The directory is gone and its marker with it: nothing says otherwise any more.
    assert b"cwd=%2Fnowhere" in item_text(header, b"{}")
    (project / ".ai-memory.toml").write_text("nonsense")
    header["place"] = look(str(project), str(own_home)).facts()
    with pytest.raises(MarkerError):
        item_text(header, b"{}")
