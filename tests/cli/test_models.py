"""Models of this machine at a terminal: whole, and the known ones, or not at all."""

import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ai_memory.cli import main
from ai_memory.cli import models as command
from ai_memory.store.models import Model, ModelFileError, Part, install

FILES = {"model.onnx": b"weights" * 100_000, "tokenizer.json": b"{}"}
TINY = Model(
    "tiny",
    8,
    16,
    "MIT",
    tuple(Part(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in FILES.items()),
)
SHA = {part.name: part.sha256 for part in TINY.parts}


class Shelf(ThreadingHTTPServer):
    """Gives files by path; `cut` stops in the middle of them."""

    daemon_threads = True
    cut = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Door)
        self.files = {f"/shelf/tiny/{name}": content for name, content in FILES.items()}
        self.url = f"http://127.0.0.1:{self.server_port}/shelf/"


class _Door(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        content = self.server.files.get(self.path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write((content or b"")[: 1000 if self.server.cut else None])
        self.close_connection = True


@pytest.fixture
def shelf(monkeypatch):
    shelf = Shelf()
    thread = threading.Thread(target=shelf.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("AI_MEMORY_MODELS_URL", shelf.url)
    yield shelf
    shelf.shutdown()
    shelf.server_close()
    thread.join(5)


@pytest.fixture
def say(tmp_path, monkeypatch, capsys):
    """Run `ai-memory models …`; gives the exit code and what it printed."""
    monkeypatch.setattr(command, "MODELS", (TINY,))

    def say(*arguments):
        monkeypatch.setattr(sys, "argv", ["ai-memory", "--data-dir", str(tmp_path / "data"), "models", *arguments])
        with pytest.raises(SystemExit) as done:
            main()
        said = capsys.readouterr()
        return done.value.code or 0, (said.out + said.err).strip()

    return say


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


def kept(tmp_path):
    """Every file below `models/`, with its content."""
    folder = tmp_path / "data" / "models"
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


WHOLE = {f"tiny/{name}": content for name, content in FILES.items()}


def test_a_model_is_installed_from_a_folder_listed_and_removed(say, source, tmp_path):
    folder = tmp_path / "data" / "models" / "tiny"
    assert say("list") == (0, "tiny  not installed  8 numbers, 0.7 MB, MIT")
    assert say("install", "tiny", "--from", str(source)) == (
        0,
        (
            f'installed tiny in {folder}: 0.7 MB (MIT)\nnext: embedding_provider = "local" in config.toml, then start the '
            "server again"
        ),
    )
    assert kept(tmp_path) == WHOLE
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert say("list") == (0, "tiny  installed  8 numbers, 0.7 MB, MIT")
    assert say("install", "tiny", "--from", str(source)) == (0, "tiny is installed and whole; nothing changed")
    unsure = f"would delete {folder}\nnothing was changed: say it again with --confirm to do it"
    assert say("remove", "tiny") == say("remove", "tiny", "--dry-run") == (0, unsure)
    assert kept(tmp_path) == WHOLE
    assert say("remove", "tiny", "--confirm") == (0, f"deleted {folder}: 700,002 bytes")
    assert kept(tmp_path) == {}
    assert say("remove", "tiny", "--confirm") == (1, f"error: tiny is not installed in {folder.parent}")


def test_the_list_names_what_is_damaged_and_an_install_mends_it(say, source, tmp_path):
    say("install", "tiny", "--from", str(source))
    file = tmp_path / "data" / "models" / "tiny" / "tokenizer.json"
    file.write_bytes(b"[]")
    code, said = say("list", "--json")
    wrong = hashlib.sha256(b"[]").hexdigest()
    fault = (
        f"{file} is not the file that this program knows: its SHA-256 is {wrong} (2 bytes), "
        f"wanted is {SHA['tokenizer.json']} (2 bytes)"
    )
    assert (code, json.loads(said)) == (
        0,
        {
            "models": [
                {
                    "name": "tiny",
                    "state": "damaged",
                    "dim": 8,
                    "bytes": 700_002,
                    "licence": "MIT",
                    "folder": str(file.parent),
                    "faults": [fault],
                }
            ]
        },
    )
    assert say("list") == (0, f"tiny  damaged  8 numbers, 0.7 MB, MIT\n  {fault}")
    file.unlink()
    assert say("list")[1].endswith(f"\n  {file} is missing")
    assert say("install", "tiny", "--from", str(source))[0] == 0
    assert kept(tmp_path) == WHOLE


@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
def test_another_file_is_refused_by_both_digests_and_leaves_nothing(say, source, tmp_path, content):
    (source / "tokenizer.json").write_bytes(content)
    assert say("install", "tiny", "--from", str(source)) == (
        1,
        (
            "error: tokenizer.json is not the file that this program knows: its SHA-256 is "
            f"{hashlib.sha256(content).hexdigest()} ({len(content)} bytes), wanted is {SHA['tokenizer.json']} (2 bytes): "
            "nothing was installed"
        ),
    )
    assert list((tmp_path / "data" / "models").iterdir()) == []


def test_a_file_that_is_too_long_or_missing_is_refused_and_leaves_nothing(say, source, tmp_path):
    (source / "model.onnx").write_bytes(FILES["model.onnx"] + b"!")
    assert say("install", "tiny", "--from", str(source)) == (
        1,
        "error: model.onnx is larger than the 700,000 bytes of the one that this program knows: nothing was installed",
    )
    (source / "model.onnx").unlink()
    assert say("install", "tiny", "--from", str(source)) == (
        1,
        f"error: {source / 'model.onnx'} cannot be read: No such file or directory: nothing was installed",
    )
    assert list((tmp_path / "data" / "models").iterdir()) == []


def test_a_source_without_an_end_is_not_read_to_it(tmp_path):
    read = iter(range(10))
    with pytest.raises(ModelFileError, match=r"^model\.onnx is larger than the 700,000 bytes"):
        install(tmp_path, TINY, lambda part: (bytes(200_000) for _ in read))
    assert next(read) == 4


def test_a_damaged_model_stays_until_a_whole_one_is_there(say, source, tmp_path):
    say("install", "tiny", "--from", str(source))
    (tmp_path / "data" / "models" / "tiny" / "model.onnx").write_bytes(b"old")
    (source / "tokenizer.json").unlink()
    assert say("install", "tiny", "--from", str(source))[0] == 1
    assert kept(tmp_path) == {**WHOLE, "tiny/model.onnx": b"old"}


def test_what_a_killed_install_left_is_in_nobodys_way(say, source, tmp_path):
    left = tmp_path / "data" / "models" / ".tiny.partial"
    left.mkdir(parents=True)
    (left / "model.onnx").write_bytes(b"half")
    assert say("install", "tiny", "--from", str(source))[0] == 0
    assert kept(tmp_path) == WHOLE


def test_a_model_is_pulled_from_the_address_of_the_settings(say, shelf, tmp_path):
    code, said = say("pull", "tiny")
    assert (code, said.splitlines()[0]) == (
        0,
        f"installed tiny in {tmp_path / 'data' / 'models' / 'tiny'}: 0.7 MB (MIT)",
    )
    assert kept(tmp_path) == WHOLE
    shelf.files.clear()
    assert say("pull", "tiny") == (0, "tiny is installed and whole; nothing changed")


def test_a_download_that_fails_says_so_and_leaves_nothing(say, shelf, tmp_path, monkeypatch, free_port):
    address = f"{shelf.url}tiny/model.onnx"
    shelf.cut = True
    code, said = say("pull", "tiny")
    part = FILES["model.onnx"][:1000]
    assert (code, said) in [
        (
            4,
            f"error: {address} cannot be fetched: IncompleteRead(1000 bytes read, 699000 more expected): nothing was installed",
        ),
        (
            1,
            (
                f"error: model.onnx is not the file that this program knows: its SHA-256 is "
                f"{hashlib.sha256(part).hexdigest()} (1,000 bytes), wanted is {SHA['model.onnx']} (700,000 bytes): "
                "nothing was installed"
            ),
        ),
    ]
    shelf.cut = False
    shelf.files["/shelf/tiny/tokenizer.json"] = b"<html>log in</html>"
    assert say("pull", "tiny")[0] == 1
    del shelf.files["/shelf/tiny/model.onnx"]
    assert say("pull", "tiny") == (
        4,
        f"error: {address} cannot be fetched: HTTP Error 404: Not Found: nothing was installed",
    )
    monkeypatch.setenv("AI_MEMORY_MODELS_URL", f"http://127.0.0.1:{free_port}")
    code, said = say("pull", "tiny")
    assert (code, "Connection refused" in said) == (4, True)
    assert list((tmp_path / "data" / "models").iterdir()) == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "",
            (
                "there is no address to pull from: set models_url to where MODEL/FILE lies, or take the files from a "
                "folder: ai-memory models install --from DIR"
            ),
        ),
        ("file:///etc", "models_url 'file:///etc' is not a URL: write one like https://models.example/ai-memory"),
    ],
)
def test_without_an_address_nothing_is_pulled(say, monkeypatch, url, said):
    monkeypatch.setenv("AI_MEMORY_MODELS_URL", url)
    assert say("pull", "tiny") == (2, f"error: {said}")


def test_an_unknown_model_is_refused(say, source):
    said = (1, "error: no model 'other' is known; there is tiny")
    assert say("install", "other", "--from", str(source)) == say("pull", "other") == say("remove", "other") == said
