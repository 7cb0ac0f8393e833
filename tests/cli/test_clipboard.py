"""Which program of a machine takes what is to be on its clipboard."""

import sys

import pytest

from ai_memory.cli.clipboard import ClipboardError, copy

pytestmark = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="their program is part of the system")


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Put programs on the PATH that write down how they were called and what they were given."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def install(*names):
        for name in names:
            file = tmp_path / name
            file.write_text(f'#!/bin/sh\necho {name} "$@" > {tmp_path}/called\n/bin/cat > {tmp_path}/given\n')
            file.chmod(0o755)

    return install


def called(tmp_path):
    return (tmp_path / "called").read_text().strip(), (tmp_path / "given").read_bytes()


@pytest.mark.parametrize(
    ("there", "wayland", "line"),
    [
        (["wl-copy", "wl-paste", "xclip"], True, "wl-copy"),
        (["wl-copy", "xclip"], True, "xclip -selection clipboard -in"),
        (["wl-copy", "wl-paste", "xsel"], False, "xsel --clipboard --input"),
        (["xsel", "xclip"], False, "xclip -selection clipboard -in"),
        (["termux-clipboard-set"], False, "termux-clipboard-set"),
    ],
)
def test_the_first_that_is_there_gets_it(programs, tmp_path, monkeypatch, there, wayland, line):
    programs(*there)
    if wayland:
        monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    copy("é\n")
    assert called(tmp_path) == (line, "é\n".encode())


def test_the_one_of_windows_gets_its_own_encoding(programs, tmp_path):
    programs("clip.exe")
    copy("é\n")
    assert called(tmp_path) == ("clip.exe", "é\n".encode("utf-16"))


def test_a_machine_without_one_is_said(programs):
    programs("wl-copy")
    with pytest.raises(ClipboardError, match="no clipboard program"):
        copy("x")
