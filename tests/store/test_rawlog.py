import os
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.errors import StorageError
from ai_memory.model.event import Kind, Observation, Scrubbed, ToolCall
from ai_memory.model.scope import Project
from ai_memory.store.rawlog import Entry, RawLog, line_of, observation_of

PROJECT = Project(UUID(int=2), UUID(int=1), "default", "shop")
SESSION = UUID(int=3)
NOW = datetime(2026, 11, 20, 10, 0, 0, 123456, tzinfo=UTC)


def said(text, **more):
    return Observation(NOW, Kind.USER_PROMPT, "codex", "UserPromptSubmit", Scrubbed(text), Scrubbed(text), **more)


def entry(*observations, session=SESSION):
    return Entry(PROJECT, session, "ses_42", observations)


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(title=texts, body=texts, command=texts, files=st.lists(texts, max_size=3), note=texts, writes=st.booleans())
def test_an_observation_comes_back_as_it_was_stored(title, body, command, files, note, writes):
    tool = ToolCall("Bash", "error", Scrubbed(command), tuple(Scrubbed(f) for f in files), writes)
    observation = Observation(
        NOW, Kind.POST_TOOL_USE, "codex", "PostToolUse", Scrubbed(title), Scrubbed(body), "k1", "/w", tool, note
    )
    assert observation_of(line_of(observation)) == observation


def test_what_was_appended_is_read_back_with_the_agents_own_session_id(tmp_path):
    log = RawLog(tmp_path / "raw")
    first, second = said("one\n\u2028two"), said("three")
    log.append([entry(first)])
    ((_, size),) = log.append([entry(second)])
    (file,) = log.files()
    assert (file.project_id, file.session_id, file.size) == (PROJECT.id, SESSION, size)
    assert (log.native_id(file.path), list(log.observations(file.path))) == ("ses_42", [first, second])


def test_only_what_is_new_is_read_from_a_mark(tmp_path):
    log = RawLog(tmp_path / "raw")
    ((_, mark),) = log.append([entry(said("one"))])
    log.append([entry(said("two"))])
    (file,) = log.files()
    assert list(log.observations(file.path, mark)) == [said("two")]


def test_a_torn_last_line_is_passed_over_and_cut_off_by_mending_alone(tmp_path):
    log = RawLog(tmp_path / "raw")
    ((_, size),) = log.append([entry(said("one"))])
    (file,) = log.files()
    with file.path.open("ab") as raw:
        raw.write(b'{"at":"2026-11-20T10:00:00+00:00","kind":"user-pro' + b"x" * 200_000)
    torn = file.path.stat().st_size
    assert list(log.observations(file.path)) == [said("one")]
    assert file.path.stat().st_size == torn
    assert log.mend(file.path) == size == file.path.stat().st_size


def test_a_damaged_line_and_strange_files_cost_nothing_but_themselves(tmp_path):
    log = RawLog(tmp_path / "raw")
    log.append([entry(said("one"))])
    (file,) = log.files()
    with file.path.open("ab") as raw:
        raw.write(b"\0" * 64 + b"\n[1]\n")
    log.append([entry(said("two"))])
    (file.path.parent / "notes (copy).jsonl").write_text("x")
    (tmp_path / "raw" / "lost+found").mkdir()
    assert list(log.observations(file.path)) == [said("one"), said("two")]
    assert [found.path for found in log.files()] == [file.path]
    assert log.damaged == {file.path: 2}


def test_more_sessions_than_files_may_be_open_are_written_in_one_group(tmp_path):
    import resource

    log = RawLog(tmp_path / "raw")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        log.append([entry(said("one"), session=uuid4()) for _ in range(600)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(list(log.files())) == 600


def test_files_are_private(tmp_path):
    log = RawLog(tmp_path / "raw")
    log.append([entry(said("one"))])
    (file,) = log.files()
    modes = {oct(path.stat().st_mode & 0o777) for path in (file.path.parent, file.path.parent.parent, tmp_path / "raw")}
    assert (oct(file.path.stat().st_mode & 0o777), modes) == ("0o600", {"0o700"})


def test_a_group_that_cannot_be_written_whole_leaves_nothing_behind(tmp_path):
    log = RawLog(tmp_path / "raw")
    ((_, size),) = log.append([entry(said("one"))])
    blocked = uuid4()
    # A folder stands where the second session's file would have to be.
    os.mkdir(log.path(PROJECT.workspace_id, PROJECT.id, blocked))
    with pytest.raises(StorageError, match="raw log could not be written"):
        log.append([entry(said("two")), entry(said("three"), session=blocked)])
    assert log.path(PROJECT.workspace_id, PROJECT.id, SESSION).stat().st_size == size
