import json
import os
import threading
import time

import pytest

from ai_memory.client.quick_json import NotJsonError
from ai_memory.client.stdin import StdinOpenError, TooLargeError, parse, read_payload

TEXT = '{"a":"é 中文 😀 \\u0000 \\u001b"}'
VALUE = {"a": "é 中文 😀 \0 \x1b"}


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (TEXT.encode(), TEXT.encode()),
        (b"\xef\xbb\xbf" + TEXT.encode(), TEXT.encode()),
        (TEXT.encode("utf-16"), TEXT.encode()),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), TEXT.encode()),
        (TEXT.encode() + b"\0\0\n", TEXT.encode() + b"\0\0\n"),
        (b"\0 " + TEXT.encode(), TEXT.encode()),
    ],
)
def test_every_encoding_of_a_payload_becomes_utf_8(raw, kept):
    assert parse(raw) == (VALUE, kept)


def test_bytes_that_are_not_utf_8_cost_only_themselves():
    assert parse(b'{"a":"x\xffy"}') == ({"a": "x\ufffdy"}, '{"a":"x\ufffdy"}'.encode())


@pytest.mark.parametrize("raw", [b"", b"\0\0", b"[1]", b"3", b'"text"', b"null", b"{", b"\xef\xbb\xbf", b"hello"])
def test_what_is_no_object_is_refused(raw):
    with pytest.raises(NotJsonError):
        parse(raw)


@pytest.fixture
def pipe():
    ends = list(os.pipe())
    yield ends
    os.close(ends[1])
    time.sleep(0)


def test_a_payload_is_whole_when_the_pipe_closes():
    mine, theirs = os.pipe()
    os.write(theirs, TEXT.encode())
    os.close(theirs)
    assert read_payload(mine)[0] == VALUE
    os.close(mine)


def test_a_whole_value_is_taken_though_the_pipe_stays_open(pipe):
    os.write(pipe[1], TEXT.encode())
    started = time.monotonic()
    assert read_payload(pipe[0])[0] == VALUE
    assert time.monotonic() - started < 0.4


def test_a_value_that_comes_in_pieces_is_waited_for(pipe):
    def write():
        for piece in (TEXT.encode()[i : i + 8] for i in range(0, len(TEXT.encode()), 8)):
            os.write(pipe[1], piece)
            time.sleep(0.06)

    writer = threading.Thread(target=write)
    writer.start()
    assert read_payload(pipe[0])[0] == VALUE
    writer.join()


@pytest.mark.parametrize("sent", [b"", b'{"a":'])
def test_a_silent_pipe_is_given_up(pipe, sent):
    os.write(pipe[1], sent)
    started = time.monotonic()
    with pytest.raises(StdinOpenError, match=f"after {len(sent)} bytes"):
        read_payload(pipe[0])
    assert 0.4 < time.monotonic() - started < 1.0


def test_a_pipe_that_never_ends_is_given_up(pipe):
    stop = threading.Event()

    def write():
        while not stop.wait(0.02):
            os.write(pipe[1], b'"')

    writer = threading.Thread(target=write)
    writer.start()
    with pytest.raises(StdinOpenError):
        read_payload(pipe[0])
    stop.set()
    writer.join()


def test_a_closed_stdin_is_an_empty_one():
    mine, theirs = os.pipe()
    os.close(theirs)
    os.close(mine)
    with pytest.raises(NotJsonError):
        read_payload(mine)


def test_what_is_larger_than_any_event_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ai_memory.client.stdin.LARGEST", 1000)
    (tmp_path / "big").write_text(json.dumps({"a": "x" * 2000}))
    with open(tmp_path / "big", "rb") as file, pytest.raises(TooLargeError):
        read_payload(file.fileno())
