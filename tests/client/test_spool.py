import os
import stat
import subprocess
import sys

import pytest

from ai_memory.client import spool

PLACE = {"cwd": "/src/shop", "markers": [], "root": "", "main_root": "", "identity": "", "at_home": False}
DAY = 86_400
NOW = 1_800_000_000


def header(seconds=NOW, **more):
    return {
        "created_ms": seconds * 1000,
        "key": spool.new_key(),
        "agent": "codex",
        "event": "stop",
        "place": PLACE,
        **more,
    }


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_an_event_comes_back_as_it_was_kept(data_dir):
    kept = header(url="http://127.0.0.1:1", strategy="repo-root")
    kept["place"] = {**PLACE, "cwd": "/src/é中😀\udcff", "markers": [["/m", 'project = "p"\n']]}
    name = spool.put(str(data_dir), kept, b'{"a":"\xc3\xa9\n"}')
    assert spool.read(str(data_dir), name) == (kept, b'{"a":"\xc3\xa9\n"}')
    assert spool.header(str(data_dir), name) == kept


def test_spool_files_are_private(data_dir):
    old = os.umask(0)
    try:
        name = spool.put(str(data_dir), header(), b"{}")
    finally:
        os.umask(old)
    where = spool.folder(str(data_dir))
    assert (mode(where), mode(os.path.join(where, name))) == (0o700, 0o600)


def test_a_thousand_events_in_a_loop_are_a_thousand_files_in_order(data_dir):
    put = [spool.put(str(data_dir), header(), b"{}") for _ in range(1000)]
    assert spool.names(str(data_dir)) == put


def test_processes_never_overwrite_each_other(data_dir):
    code = (
        "import sys; from ai_memory.client import spool\n"
        "for _ in range(100): spool.put(sys.argv[1], {'created_ms': 5, 'key': spool.new_key()}, b'{}')"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(data_dir)], cwd=os.getcwd()) for _ in range(4)]
    assert [process.wait(30) for process in running] == [0] * 4
    assert len(spool.names(str(data_dir))) == 400


def test_a_failed_write_leaves_nothing(data_dir, monkeypatch):
    spool.put(str(data_dir), header(), b"{}")
    before = sorted(os.listdir(spool.folder(str(data_dir))))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        spool.put(str(data_dir), header(), b"{}")
    assert sorted(os.listdir(spool.folder(str(data_dir)))) == before


def test_bounds_drop_the_oldest_and_say_how_many(data_dir, monkeypatch):
    monkeypatch.setattr(spool, "MOST_FILES", 3)
    for age in (9, 8, 6, 5, 4, 3, 2):
        spool.put(str(data_dir), header(NOW - age * DAY), b"{}")
    kept = spool.names(str(data_dir))[-3:]
    assert spool.prune(str(data_dir), NOW) == {"dropped-age": 2, "dropped-count": 2}
    assert spool.names(str(data_dir)) == kept
    assert spool.prune(str(data_dir), NOW) == {}


def test_the_size_is_bounded_too(data_dir, monkeypatch):
    monkeypatch.setattr(spool, "MOST_BYTES", 2500)
    for _ in range(4):
        spool.put(str(data_dir), header(), b"x" * 1000)
    assert spool.prune(str(data_dir), NOW) == {"dropped-count": 2}


def test_what_a_killed_hook_left_half_written_is_swept(data_dir):
    spool.put(str(data_dir), header(), b"{}")
    where = spool.folder(str(data_dir))
    for seconds in (NOW - 7200, NOW):
        with open(os.path.join(where, f".{seconds * 1000:013d}-1-1-abc.event.new"), "w"):
            pass
    spool.prune(str(data_dir), NOW)
    assert [name for name in os.listdir(where) if name.endswith(".new")] == [f".{NOW * 1000:013d}-1-1-abc.event.new"]


def test_pruning_without_a_spool_does_nothing(data_dir):
    assert spool.prune(str(data_dir), NOW) == {}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello\n{}",
        b"[]\n{}",
        b'{"key":"a"}\n{}',
        b'{"created_ms":-1,"key":"a","agent":"b","event":"c","place":{}}\n{}',
        b"\xff\n",
    ],
)
def test_a_file_that_is_no_event_is_told_apart(data_dir, raw):
    spool.put(str(data_dir), header(), b"{}")
    path = os.path.join(spool.folder(str(data_dir)), "0000000000001-x.event")
    with open(path, "wb") as file:
        file.write(raw)
    with pytest.raises(spool.SpoolEntryError):
        spool.read(str(data_dir), os.path.basename(path))


def test_the_state_tells_count_age_and_size(data_dir):
    empty = spool.state(str(data_dir), NOW)
    assert empty == {
        "path": spool.folder(str(data_dir)),
        "pending": 0,
        "oldest_age_secs": None,
        "bytes": 0,
        "writable": True,
    }
    name = spool.put(str(data_dir), header(NOW - 90), b"{}")
    size = os.path.getsize(os.path.join(spool.folder(str(data_dir)), name))
    assert spool.state(str(data_dir), NOW) == {**empty, "pending": 1, "oldest_age_secs": 90, "bytes": size}


def test_a_file_in_the_spools_place_is_not_writable(data_dir):
    data_dir.mkdir()
    (data_dir / "hook-spool").write_text("")
    assert spool.state(str(data_dir), NOW)["writable"] is False
    with pytest.raises(OSError):
        spool.put(str(data_dir), header(), b"{}")


HOLD = """
import sys
from ai_memory.client import spool
with spool.DrainLock(sys.argv[1]):
    print("mine", flush=True)
    sys.stdin.read()
"""


def test_one_process_holds_the_lock_and_its_death_gives_it_back(data_dir):
    spool.put(str(data_dir), header(), b"{}")
    assert not spool.is_held(str(data_dir))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout.readline() == b"mine\n"
    assert spool.is_held(str(data_dir))
    with pytest.raises(spool.LockBusyError), spool.DrainLock(str(data_dir), 0.05):
        pass
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    assert not spool.is_held(str(data_dir))
    with spool.DrainLock(str(data_dir)):
        pass
