"""A raw log that is compressed, thawed, removed and moved is read like one that never was."""

import gzip
import os
import random
import shutil
import tempfile
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_memory.errors import ConflictError, NotFoundError, StorageError
from ai_memory.model.event import Kind, Observation, Scrubbed
from ai_memory.model.scope import Project
from ai_memory.store import steps
from ai_memory.store.rawlog import Entry, RawLog
from ai_memory.store.steps import Step

PROJECT = Project(UUID(int=2), UUID(int=1), "default", "shop")
HOME = (PROJECT.workspace_id, PROJECT.id)
SESSION = UUID(int=3)
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
LONG = "Round each line of the invoice, not the sum. " * 40
FORMS = [step for step in Step if step.value.startswith(("compress:", "thaw:"))]


def said(text):
    return Observation(NOW, Kind.USER_PROMPT, "codex", "UserPromptSubmit", Scrubbed(text), Scrubbed(text))


def entry(*texts, session=SESSION):
    return Entry(PROJECT, session, "ses_42", [said(text) for text in texts])


@pytest.fixture
def log(tmp_path):
    return RawLog(tmp_path / "raw")


@pytest.fixture
def path(log):
    """A session of three lines."""
    log.append([entry("one"), entry(LONG), entry("three")])
    return log.path(*HOME, SESSION)


def packed(path):
    return path.with_name(path.name + ".gz")


def names(folder):
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def bodies(log, path, start=0):
    return [observation.body for observation in log.observations(path, start)]


def test_a_compressed_log_keeps_its_name_its_size_its_date_and_its_lines(log, path):
    os.utime(path, ns=(1, 1_700_000_000_123_456_000))
    (plain,) = log.files()
    saved = log.compress(path)
    (file,) = log.files()
    assert names(path.parent) == [f"{SESSION}.jsonl.gz"]
    assert (file.path, file.size, file.written) == (plain.path, plain.size, plain.written)
    assert (plain.compressed, file.compressed, file.stored) == (False, True, plain.stored - saved)
    assert file.stored == packed(path).stat().st_size
    assert oct(packed(path).stat().st_mode & 0o777) == "0o600"
    assert (log.native_id(path), log.mend(path), bodies(log, path)) == ("ses_42", plain.size, ["one", LONG, "three"])
    assert log.sizes() == {"files": 1, "bytes": file.stored, "compressed_files": 1, "compressible_bytes": 0}


def test_the_same_lines_give_the_same_compressed_bytes(log, path):
    log.compress(path)
    first = packed(path).read_bytes()
    log.append([entry("four")])
    log.cut(entry(), log.mend(path) - len(log.path(*HOME, SESSION).read_bytes().splitlines(keepends=True)[-1]))
    log.compress(path)
    assert packed(path).read_bytes() == first
    assert gzip.decompress(first).count(b"\n") == 4


def test_a_session_that_goes_on_is_plain_again(log, path):
    (before,) = log.files()
    log.compress(path)
    ((size, after),) = log.append([entry("four")])
    (file,) = log.files()
    assert (size, after, file.size, file.compressed) == (before.size, path.stat().st_size, after, False)
    assert names(path.parent) == [f"{SESSION}.jsonl"]
    assert (bodies(log, path), bodies(log, path, size)) == (["one", LONG, "three", "four"], ["four"])


def test_what_was_appended_is_taken_back_also_when_it_is_compressed_by_then(log, path):
    ((before, _),) = log.append([entry(LONG)])
    log.compress(path)
    log.cut(entry(), before)
    assert (log.mend(path), bodies(log, path)) == (before, ["one", LONG, "three"])


def test_nothing_happens_to_a_log_that_is_not_there_is_compressed_already_is_too_short_or_ends_torn(log, path):
    log.compress(path)
    assert (log.compress(path), log.compress(path.with_name(f"{uuid4()}.jsonl"))) == (0, 0)
    short, torn = uuid4(), uuid4()
    log.append([entry("", session=short), entry(LONG, session=torn)])
    with log.path(*HOME, torn).open("ab") as raw:
        raw.write(b'{"at"')
    before = names(path.parent)
    assert log.compress(log.path(*HOME, torn)) == 0
    empty = log.path(*HOME, uuid4())
    empty.touch()
    assert log.compress(empty) == 0
    assert names(path.parent) == sorted([*before, empty.name])


def test_a_log_that_cannot_be_compressed_is_whole_and_said_so(log, path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="could not be compressed: No space left"):
            log.compress(path)
    assert names(path.parent) == [f"{SESSION}.jsonl"]
    assert log.compress(path) > 0


def test_a_log_that_is_nowhere_is_not_found(log, path):
    with pytest.raises(NotFoundError):
        bodies(log, path.with_name(f"{uuid4()}.jsonl"))
    with pytest.raises(NotFoundError):
        log.native_id(path.with_name(f"{uuid4()}.jsonl"))


# Damage


def many(log):
    """A session of many lines that do not compress to nothing, compressed; gives its path and lines."""
    dice = random.Random(20261121)
    texts = [f"{number} {dice.randbytes(16).hex()}" for number in range(2000)]
    log.append([entry(*texts)])
    path = log.path(*HOME, SESSION)
    log.compress(path)
    return path, texts


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "not gzip"])
def test_a_damaged_compressed_log_is_read_up_to_the_damage_and_counted(log, damage):
    path, texts = many(log)
    whole = packed(path).read_bytes()
    middle = len(whole) // 2
    broken = {
        "cut": whole[:middle],
        "flipped": whole[:middle] + bytes(64) + whole[middle + 64 :],
        "empty": b"",
        "not gzip": b"\0" * 100,
    }[damage]
    packed(path).write_bytes(broken)
    (file,) = log.files()
    read = bodies(log, path)
    mended = log.mend(path)
    assert read == texts[: len(read)]
    assert len(read) > 800 or damage in ("empty", "not gzip")
    assert len(read) < 2000
    assert (mended, packed(path).read_bytes()) == (file.size, broken)
    # Behind flipped bytes there are lines of nonsense, each of which counts.
    assert log.damaged.keys() == {path}
    assert damage == "flipped" or log.damaged == {path: 1}
    assert log.native_id(path) == ("ses_42" if read else "")


def test_a_session_whose_compressed_log_is_damaged_goes_on_and_the_damaged_file_is_kept(log):
    path, texts = many(log)
    broken = packed(path).read_bytes()[:-2000]
    packed(path).write_bytes(broken)
    log.append([entry("further")])
    read = bodies(log, path)
    assert read == [*texts[: len(read) - 1], "further"]
    assert names(path.parent) == [f"{SESSION}.jsonl", f"{SESSION}.jsonl.gz.damaged"]
    assert path.with_name(f"{SESSION}.jsonl.gz.damaged").read_bytes() == broken
    assert log.damaged == {path: 1}
    assert log.remove(*HOME, SESSION)
    assert names(path.parent) == []


# Crashes


class Crash:
    """What a kill at a step leaves: a copy of the folder, taken there."""

    def __init__(self, step, folder, copy):
        self.step, self.folder, self.copy = step, folder, copy

    def __enter__(self):
        steps.listen(self.hear)
        return self

    def __exit__(self, *error):
        steps._listeners.remove(self.hear)

    def hear(self, step):
        if step is self.step and not self.copy.exists():
            shutil.copytree(self.folder, self.copy)


@pytest.mark.parametrize("step", FORMS)
def test_a_crash_between_two_forms_loses_nothing_and_leaves_one_of_them(log, path, tmp_path, step):
    with Crash(step, tmp_path / "raw", tmp_path / "crashed"):
        log.compress(path)
        log.append([entry("four")])
    crashed = RawLog(tmp_path / "crashed")
    (file,) = crashed.files()
    assert bodies(crashed, file.path) == ["one", LONG, "three"]
    assert names(file.path.parent) == [file.path.name + (".gz" if file.compressed else "")]
    crashed.append([entry("five")])
    assert bodies(crashed, file.path) == ["one", LONG, "three", "five"]


def test_a_reader_leaves_leftovers_alone_and_reads_the_plain_form(log, path):
    packed(path).write_bytes(b"stale")
    (file,) = log.files()
    assert (bodies(log, path), file.compressed) == (["one", LONG, "three"], False)
    assert packed(path).read_bytes() == b"stale"
    assert log.compress(path) > 0
    assert bodies(log, path) == ["one", LONG, "three"]


def test_a_leftover_never_takes_the_place_of_the_plain_form(log, path):
    packed(path).write_bytes(gzip.compress(b"stale\n"))
    ((before, _),) = log.append([entry("four")])
    log.cut(entry(), before)
    assert (log.mend(path), bodies(log, path)) == (before, ["one", LONG, "three"])


def test_start_removes_leftovers_and_nothing_else(log, path, tmp_path):
    other = uuid4()
    log.append([entry(LONG, session=other)])
    log.compress(log.path(*HOME, other))
    (path.parent / "notes.jsonl.gz").write_text("mine")
    before = names(path.parent)
    packed(path).write_bytes(b"stale")
    (path.parent / ".ai-memory-tmp.0011").write_bytes(b"half")
    RawLog(tmp_path / "raw")
    assert names(path.parent) == before


OPERATIONS = st.one_of(
    st.lists(st.sampled_from(["", "two\n", "é\u2028", LONG]), min_size=1, max_size=3).map(
        lambda texts: ("append", texts)
    ),
    st.sampled_from(["compress", "reopen", "take back", "stale"]).map(lambda name: (name, None)),
    st.sampled_from(FORMS).map(lambda step: ("crash", step)),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(OPERATIONS, max_size=12))
def test_any_sequence_gives_what_a_plain_file_gives(operations):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "log"
        log, plain = RawLog(root), RawLog(Path(folder) / "plain")
        path, plain_path = log.path(*HOME, SESSION), plain.path(*HOME, SESSION)
        marks = [0]
        for name, value in operations:
            if name == "append":
                appended = log.append([entry(*value)])
                assert appended == plain.append([entry(*value)])
                marks.append(appended[0][1])
            elif name == "compress":
                log.compress(path)
            elif name == "reopen":
                log = RawLog(root)
            elif name == "take back" and marks[1:]:
                log.append([entry("gone")])
                log.compress(path)
                log.cut(entry(), marks[-1])
            elif name == "stale" and path.exists():
                packed(path).write_bytes(gzip.compress(b"stale\n"))
            elif name == "crash" and marks[1:]:
                copy = Path(folder) / "copy"
                with Crash(value, root, copy):
                    log.compress(path)
                    if value.name.startswith("THAW"):
                        log.append([entry("never acknowledged")])
                if copy.exists():
                    shutil.rmtree(root)
                    copy.rename(root)
                else:
                    log.cut(entry(), marks[-1])
                log = RawLog(root)
            assert [file.size for file in log.files()] == [file.size for file in plain.files()]
            for mark in marks if marks[1:] else []:
                assert list(log.observations(path, mark)) == list(plain.observations(plain_path, mark))
        assert [log.mend(file.path) for file in log.files()] == [file.size for file in plain.files()]


# Threads


def test_appenders_readers_and_a_compressor_at_once_lose_nothing(log):
    # Most are silent at a time: else every compression would be overtaken and give up.
    sessions = [uuid4() for _ in range(16)]
    done, failures, saved = threading.Event(), [], []

    def guarded(work, *arguments):
        try:
            work(*arguments)
        except BaseException as error:
            failures.append(error)

    def append(number):
        for count in range(80):
            log.append([entry(f"{number}-{count} {LONG}", session=sessions[(number // 2 + count) % 16])])

    def compress():
        while not done.is_set():
            saved.extend(log.compress(file.path) for file in log.files())

    def read():
        seen = Counter()
        while not done.is_set():
            for file in log.files():
                count = len(bodies(log, file.path))
                assert count >= seen[file.path]
                seen[file.path] = count

    writers = [threading.Thread(target=guarded, args=(append, number)) for number in range(8)]
    others = [threading.Thread(target=guarded, args=(work,)) for work in (compress, read)]
    for thread in (*writers, *others):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in others:
        thread.join()
    assert failures == []
    for index, session in enumerate(sessions):
        kept = [text.split()[0] for text in bodies(log, log.path(*HOME, session))]
        told = [f"{n}-{count}" for n in range(8) for count in range(80) if (n // 2 + count) % 16 == index]
        assert sorted(kept) == sorted(told)
    assert (log.damaged, any(saved)) == ({}, True)


@pytest.mark.parametrize("change", ["append", "take back"])
def test_a_compression_that_is_overtaken_by_a_write_gives_up(log, path, monkeypatch, change):
    from ai_memory.store import rawlog

    stage = rawlog._stage
    ((before, _),) = log.append([entry("four")])

    def overtaken(*arguments):
        staged = stage(*arguments)
        if change == "append":
            log.append([entry("five")])
        else:
            log.cut(entry(), before)
        return staged

    monkeypatch.setattr(rawlog, "_stage", overtaken)
    assert log.compress(path) == 0
    assert names(path.parent) == [f"{SESSION}.jsonl"]
    assert bodies(log, path) == ["one", LONG, "three", *(["four", "five"] if change == "append" else [])]


def test_a_line_on_its_way_into_the_open_file_is_waited_for(log, path, monkeypatch):
    from ai_memory.store import rawlog

    write = rawlog._write_all
    compressor = threading.Thread(target=log.compress, args=(path,))

    def slow(descriptor, data):
        compressor.start()
        # It has all the time it needs to swap the file away, unless it waits for us.
        compressor.join(0.3)
        write(descriptor, data)

    monkeypatch.setattr(rawlog, "_write_all", slow)
    log.append([entry("four")])
    compressor.join()
    assert bodies(log, path) == ["one", LONG, "three", "four"]


@pytest.mark.parametrize("read", ["list", "lines"])
def test_a_log_that_is_thawed_between_two_looks_is_found(log, path, monkeypatch, read):
    from ai_memory.store import rawlog

    log.compress(path)
    looked, thawed = rawlog._packed, []

    def thaw_first(asked):
        # The reader has just seen that there is no plain form.
        if not thawed:
            thawed.append(asked)
            log.append([entry("four")])
        return looked(asked)

    monkeypatch.setattr(rawlog, "_packed", thaw_first)
    if read == "list":
        assert [(file.size, file.compressed) for file in log.files()] == [(path.stat().st_size, False)]
    else:
        assert bodies(log, path) == ["one", LONG, "three", "four"]
    assert thawed == [path]


# Removals and moves


@pytest.mark.parametrize("compressed", [False, True])
def test_a_removed_session_leaves_no_file(log, path, compressed):
    other = uuid4()
    log.append([entry("other", session=other)])
    if compressed:
        log.compress(path)
        packed(path).with_name(f"{SESSION}.jsonl.gz.damaged").touch()
    (path.parent / "transcripts").mkdir()
    (path.parent / "transcripts" / f"{SESSION}.jsonl").write_text("said")
    (path.parent / "transcripts" / f"{other}.jsonl").write_text("said")
    assert (log.remove(*HOME, SESSION), log.remove(*HOME, SESSION)) == (True, False)
    assert names(path.parent) == [f"{other}.jsonl", f"transcripts/{other}.jsonl"]
    ((before, _),) = log.append([entry("anew")])
    assert before == 0


def test_a_removed_project_leaves_no_file(log, path, tmp_path):
    log.compress(path)
    assert (log.remove_project(*HOME), log.remove_project(*HOME), log.remove_project(uuid4(), uuid4())) == (
        True,
        False,
        False,
    )
    assert (names(tmp_path / "raw"), list(log.files())) == ([], [])


NEW = (UUID(int=8), UUID(int=9))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_session_moves_with_all_its_files_once(log, path, compressed, tmp_path):
    if compressed:
        log.compress(path)
    (path.parent / "transcripts").mkdir()
    (path.parent / "transcripts" / f"{SESSION}.jsonl").write_text("said")
    (before,) = log.files()
    assert (log.move_session(SESSION, HOME, NEW), log.move_session(SESSION, HOME, NEW)) == (True, False)
    (file,) = log.files()
    assert (file.workspace_id, file.project_id, file.size, file.compressed) == (*NEW, before.size, compressed)
    assert bodies(log, file.path) == ["one", LONG, "three"]
    assert (names(path.parent), len(names(tmp_path / "raw"))) == ([], 2)
    assert log.move_session(SESSION, NEW, NEW) is False


def test_a_session_whose_move_was_cut_short_moves_when_it_is_asked_again(log, path, tmp_path):
    (path.parent / "transcripts").mkdir()
    (path.parent / "transcripts" / f"{SESSION}.jsonl").write_text("said")
    packed(path).write_bytes(b"stale")
    with Crash(Step.RAW_MOVE_FILE, tmp_path / "raw", tmp_path / "crashed"):
        log.move_session(SESSION, HOME, NEW)
    crashed = RawLog(tmp_path / "crashed")
    assert len(names(tmp_path / "crashed" / str(HOME[0]))) == 1
    crashed.move_session(SESSION, HOME, NEW)
    assert names(tmp_path / "crashed") == names(tmp_path / "raw")
    assert bodies(crashed, crashed.path(*NEW, SESSION)) == ["one", LONG, "three"]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_session_that_is_in_both_projects_is_not_moved(log, path, tmp_path, compressed):
    other = Project(NEW[1], NEW[0], "default", "other")
    log.append([Entry(other, SESSION, "ses_42", [said(LONG)])])
    if compressed:
        log.compress(log.path(*NEW, SESSION))
    before = names(tmp_path / "raw")
    with pytest.raises(ConflictError, match="nothing was moved"):
        log.move_session(SESSION, HOME, NEW)
    assert names(tmp_path / "raw") == before


def test_a_project_moves_to_another_workspace_once_and_never_onto_one_that_is_there(log, path):
    log.compress(path)
    workspace = uuid4()
    moved = [log.move_project(PROJECT.id, PROJECT.workspace_id, workspace) for _ in range(2)]
    (file,) = log.files()
    assert (moved, file.workspace_id, bodies(log, file.path)) == ([True, False], workspace, ["one", LONG, "three"])
    log.append([entry("here again")])
    with pytest.raises(ConflictError, match="none was moved"):
        log.move_project(PROJECT.id, PROJECT.workspace_id, workspace)
    assert len(list(log.files())) == 2
