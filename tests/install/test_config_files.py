"""Reading and replacing files of other programs."""

import os
import resource
import signal
from pathlib import Path

import pytest

from ai_memory.errors import ConfigError
from ai_memory.install.command_line import check_data_dir
from ai_memory.install.files import back_up, make_folder, read_text, remove_empty, write_file


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_text(tmp_path)


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "settings.json"
    path.mkdir()
    with pytest.raises(ConfigError, match="cannot be written: Is a directory"):
        write_file(path, b"new")
    assert sorted(os.listdir(tmp_path)) == ["my home", "settings.json"]


def test_a_full_disk_leaves_neither_half_a_file_nor_half_a_backup(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text("old" * 10_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        for write in (lambda: write_file(path, b"n" * 10_000), lambda: back_up(path, 1)):
            with pytest.raises(ConfigError, match="cannot be written: File too large"):
                write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_text() == "old" * 10_000
    assert sorted(os.listdir(tmp_path)) == ["my home", "settings.json"]


def test_a_draft_of_another_process_is_not_touched(tmp_path):
    draft = tmp_path / f".settings.json.{os.getpid()}.tmp"
    draft.write_text("theirs")
    with pytest.raises(ConfigError, match="cannot be written: File exists"):
        write_file(tmp_path / "settings.json", b"new")
    assert draft.read_text() == "theirs"


def test_a_backup_that_cannot_be_written_is_named(tmp_path):
    path = tmp_path / ("x" * 250)
    path.write_text("old")
    with pytest.raises(ConfigError, match="cannot be written: File name too long"):
        back_up(path, 1_800_000_000)


def test_only_folders_that_are_empty_and_real_are_removed(tmp_path):
    made = make_folder(tmp_path / "a" / "b")
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert made == [tmp_path / "a", tmp_path / "a" / "b"]
    remove_empty([*made, tmp_path / "link", tmp_path / "full", tmp_path / "none"])
    assert sorted(os.listdir(tmp_path)) == ["full", "link", "my home"]


def test_a_data_directory_that_json_cannot_name_is_refused():
    with pytest.raises(ConfigError, match="is not valid UTF-8"):
        check_data_dir(Path(os.fsdecode(b"/tmp/\xff")))


def test_a_relative_data_directory_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert check_data_dir(Path("data")) == tmp_path / "data"
