"""`embed` and what `status` tells of it, as a person meets them."""

import json
import threading

import pytest

from tests.cli.conftest import Desk
from tests.search.vendors import KEY, Vendors


@pytest.fixture
def vendor():
    server = Vendors()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def wired(tmp_path, own_home, free_port, vendor, monkeypatch):
    monkeypatch.setenv("AI_MEMORY_EMBEDDING_PROVIDER", "openai-compat")
    monkeypatch.setenv("AI_MEMORY_EMBEDDING_BASE_URL", vendor.url)
    monkeypatch.setenv("AI_MEMORY_EMBEDDING_MODEL", "m")
    monkeypatch.setenv("AI_MEMORY_EMBEDDING_DIM", "8")
    monkeypatch.setenv("EMBEDDING_API_KEY", KEY)
    desk = Desk(tmp_path, own_home, free_port)
    desk.serve()
    yield desk
    desk.stop()


def test_a_person_embeds_looks_and_embeds_anew(wired):
    wired.writes("notes/a.md", "Round per invoice.")
    wired.writes("notes/b.md", "Ship on Mondays.")
    shown = json.loads(wired.says("embed", "--json"))
    assert (shown["embedded"] + shown["skipped"], shown["waiting"], shown["failed"]) == (2, 0, 0)
    assert wired.says("embed") == "embedded 0 texts (openai-compat m, 8 numbers each); 2 had vectors\n"
    assert wired.says("embed", "--dry-run", "--force") == (
        "would embed 2 texts (openai-compat m, 8 numbers each); 0 have vectors\n"
    )
    assert wired.says("embed", "--force") == "embedded 2 texts (openai-compat m, 8 numbers each); 0 had vectors\n"
    elsewhere = wired.run("embed", "--force", cwd=wired.shop.parent)
    assert elsewhere.stdout.decode() == "embedded 2 texts (openai-compat m, 8 numbers each); 0 had vectors\n"
    lines = wired.says("status").splitlines()
    (at,) = [n for n, line in enumerate(lines) if line.startswith("embedding ")]
    assert [line.split(None, 0)[0].strip() for line in lines[at : at + 2]] == [
        "embedding         openai-compat m 8: ready",
        "2 texts embedded, 0 wait, 0 failed",
    ]
    assert KEY not in "\n".join(lines)


def test_vectors_of_a_former_model_are_named_until_they_are_dropped(wired):
    wired.writes("notes/a.md", "Round per invoice.")
    wired.says("embed")
    wired.stop()
    wired._env["AI_MEMORY_EMBEDDING_MODEL"] = "n"
    wired.serve()
    wired.says("embed")
    assert "vectors of openai-compat m 8 are not used" in wired.says("status")
    wired.says("embed", "--force")
    assert "not used" not in wired.says("status")


def test_without_an_embedder_the_command_says_so(desk):
    desk.writes("notes/a.md", "Round per invoice.")
    refusal = "no embedding_provider is set: search goes by words alone"
    assert desk.refuses("embed") == (1, f"error: POST /admin/embed: server returned 503: {refusal}")
    assert "embedding         none: searches go by words" in desk.says("status").splitlines()
