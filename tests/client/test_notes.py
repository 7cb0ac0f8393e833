import os
import time

from ai_memory.client import notes
from ai_memory.client.notes import summary


def log(data_dir):
    return os.path.join(str(data_dir), "hook-state", "client.log")


def test_without_anything_the_summary_is_empty_and_says_nothing_is_wrong(data_dir):
    assert summary(str(data_dir)) == {
        "spool": {
            "path": str(data_dir / "hook-spool"),
            "pending": 0,
            "oldest_age_secs": None,
            "bytes": 0,
            "writable": True,
        },
        "counts": {},
        "waiting": {},
        "last_event": None,
        "last_error": None,
        "hints": [],
    }


def test_the_summary_counts_and_names_the_last_of_each(data_dir):
    before = time.time() * 1000 - 1
    for kind, detail, count in [
        ("stored", "codex stop", 1),
        ("stored", "codex session-end", 1),
        ("delivered", "u", 2),
        ("invalid-json", "codex:\tbad\nthing", 1),
    ]:
        assert notes.add(str(data_dir), kind, detail, count)
    found = summary(str(data_dir))
    assert found["counts"] == {"stored": 2, "delivered": 2, "invalid-json": 1}
    assert (found["last_event"]["detail"], found["last_error"]["detail"]) == ("codex session-end", "codex: bad thing")
    assert found["last_error"]["at_ms"] > before
    assert os.stat(log(data_dir)).st_mode & 0o777 == 0o600


def test_a_trouble_that_a_later_delivery_overtook_gives_no_hint(data_dir):
    notes.add(str(data_dir), "unreachable", "http://127.0.0.1:1: refused")
    assert "ai-memory serve" in summary(str(data_dir))["hints"][0]
    time.sleep(0.002)
    notes.add(str(data_dir), "delivered", "http://127.0.0.1:1", 1)
    assert summary(str(data_dir))["hints"] == []


def test_reasons_why_events_wait_are_hints_until_they_are_gone(data_dir):
    notes.hold(str(data_dir), {"/src/.ai-memory.toml, line 1: é": 2})
    assert notes.held(str(data_dir)) == {"/src/.ai-memory.toml, line 1: é": 2}
    assert summary(str(data_dir))["hints"] == ["Waiting on this machine (2): /src/.ai-memory.toml, line 1: é"]
    notes.hold(str(data_dir), {})
    assert summary(str(data_dir))["hints"] == []


def test_a_full_log_starts_anew_and_keeps_its_counts(data_dir, monkeypatch):
    monkeypatch.setattr(notes, "_LARGEST", 300)
    for number in range(60):
        notes.add(str(data_dir), "stored", f"codex {number}")
        notes.rotate(str(data_dir))
    found = summary(str(data_dir))
    assert found["counts"] == {"stored": 60}
    assert found["last_event"]["detail"] == "codex 59"
    assert os.path.getsize(log(data_dir)) + os.path.getsize(log(data_dir) + ".1") < 1200


def test_a_torn_line_is_no_note(data_dir):
    notes.add(str(data_dir), "stored")
    with open(log(data_dir), "a") as file:
        file.write("123\tstor\nnonsense\n\t\t\t\n")
    assert summary(str(data_dir))["counts"] == {"stored": 1}


def test_a_note_that_cannot_be_written_says_so_and_raises_nothing(data_dir):
    data_dir.mkdir()
    (data_dir / "hook-state").write_text("")
    assert notes.add(str(data_dir), "stored") is False


def test_a_spool_that_is_no_folder_is_a_hint(data_dir):
    data_dir.mkdir()
    (data_dir / "hook-spool").write_text("")
    assert summary(str(data_dir))["hints"] == [
        "The spool cannot be written, so events are lost: make the data directory writable."
    ]


def test_a_pause_lasts_a_quarter_of_a_minute_or_until_the_server_answers(data_dir):
    now = time.time()
    assert not notes.is_paused(str(data_dir), now)
    notes.pause(str(data_dir))
    assert [notes.is_paused(str(data_dir), now + later) for later in (1, 14, 16, -3600)] == [True, True, False, False]
    notes.resume(str(data_dir))
    assert not notes.is_paused(str(data_dir), now + 1)
    notes.resume(str(data_dir))
