"""`/api/v1` while pages change: what an ETag covers, what is missing, what expires."""

import json
import re

import pytest

from ai_memory.memory.pages import Fields
from tests.own_server import served
from tests.server.api.api_world import ANA, Client, Still, write


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with served(tmp_path_factory, clock=Still(), maintenance__enabled=False) as own:
        own.clock.later(days=40)
        yield own


@pytest.fixture(scope="module")
def client(own):
    return Client(own)


def test_a_page_whose_file_is_missing_says_that_and_no_path_of_the_disk(client, own):
    write(own, "odd", "notes/lost.md", "# Lost\n\nzanzibar\n", workspace="ways")
    home = own.memory.projects.called("ways", "odd")
    (own.memory.projects.folder(home) / "notes" / "lost.md").unlink()
    there = "/workspaces/ways/projects/odd/pages/notes/lost.md"
    assert client.get(there, 404).json == {"error": "page file not found"}


def test_an_etag_is_of_all_that_an_answer_says(client, own):
    ways = "/workspaces/ways/projects/tags"
    write(own, "tags", "notes/a.md", "# A\n\n[[notes/b.md]]\n", workspace="ways")
    write(own, "tags", "notes/b.md", "# B\n", workspace="ways")
    tags = []

    def changed(path, body, **fields):
        tags.append(client.get(f"{ways}/pages/notes/a.md").headers["ETag"])
        write(own, "tags", path, body, workspace="ways", **fields)
        tags.append(client.get(f"{ways}/pages/notes/a.md").headers["ETag"])
        return tags[-2] != tags[-1]

    assert changed("notes/b.md", "# Another title\n")
    assert changed("notes/b.md", "# Another title\n", kind="gotcha")
    assert changed("notes/c.md", "[[notes/a.md]]\n")
    assert changed("notes/a.md", "---\nsupersedes: notes/c.md\n---\n# A\n\n[[notes/b.md]]\n")
    assert not changed("notes/d.md", "Nothing of it.\n")
    assert len(set(tags)) == 5


def test_a_page_that_expires_says_when_and_that_it_has(client, own):
    write(own, "tags", "notes/sale.md", "Half price.\n", workspace="ways", expires_at="2026-02-11")
    write(own, "tags", "notes/gone.md", "Half price.\n", workspace="ways", expires_at="2026-02-01T00:00:00Z")
    there = "/workspaces/ways/projects/tags/pages"
    ends = {
        name: [client.get(f"{there}/notes/{name}.md").json[key] for key in ("expires_at", "expired")]
        for name in ("sale", "gone")
    }
    assert ends == {"sale": ["2026-02-11T23:59:59Z", False], "gone": ["2026-02-01T00:00:00Z", True]}
    listed = [row["path"] for row in client.get(there).json]
    assert ("notes/sale.md" in listed, "notes/gone.md" in listed) == (True, False)


def test_front_matter_of_any_kind_is_json(client, own):
    body = "---\nwhen: 2026-01-01 10:00:00\nnan: .nan\n1: one\nset: !!set {a, b}\n---\ntext\n"
    write(own, "tags", "notes/odd.md", body, workspace="ways")
    front = client.get("/workspaces/ways/projects/tags/pages/notes/odd.md").json["frontmatter"]
    assert (front["when"], front["nan"], front["1"], sorted(front["set"])) == (
        "2026-01-01 10:00:00",
        "nan",
        "one",
        ["a", "b"],
    )


def test_a_project_is_found_by_the_name_that_it_had(client, own):
    write(own, "before", "notes/a.md", "# A\n", workspace="ways")
    own.memory.moves.rename_project(own.memory.projects.called("ways", "before"), "after")
    page = client.get("/workspaces/ways/projects/before/pages/notes/a.md").json
    assert (page["workspace"], page["project"]) == ("ways", "after")


def test_json_is_small_and_its_text_is_as_written(client, own):
    write(own, "tags", "notes/я.md", "# Шафран 番紅花 ✨\n", workspace="ways")
    text = client.plain("GET", "/api/v1/workspaces/ways/projects/tags/pages/notes/%D1%8F.md").text
    assert '"title":"Шафран 番紅花 ✨"' in text
    assert json.loads(text)["path"] == "notes/я.md"
    assert re.search(r'": ', text) is None


def test_a_snippet_has_no_marks_but_ours(client, own):
    write(own, "marks", "notes/a.md", "---\nsummary: <mark>bold</mark> words\n---\n# A\n", workspace="ways")
    write(own, "marks", "notes/b.md", "# B\n\n<mark>not</mark> <b>ours</b>, turmeric\n", workspace="ways")

    def snippets(text):
        return [hit["snippet"] for hit in client.get("/search", q=text, workspace="ways", project="marks").json]

    assert snippets("turmeric") == ["not <b>ours</b>, <mark>turmeric</mark>"]
    assert snippets("path:notes/a.md") == ["bold words"]


def test_a_search_in_a_project_finds_nothing_of_the_preferences_that_hold_everywhere(client, own):
    write(own, "spices", "notes/a.md", "# A\n\ncardamom\n", workspace="ways")
    own.memory.pages.write(own.memory.projects.ensure_preferences(), "notes/b.md", "cardamom", Fields(), ANA)
    scoped = client.get("/search", q="cardamom", workspace="ways", project="spices").json
    assert [hit["project"] for hit in scoped] == ["spices"]
    assert len(client.get("/search", q="cardamom").json) == 2


def test_a_page_whose_file_is_missing_is_no_hit(client, own):
    for name in ("here", "lost"):
        write(own, "files", f"notes/{name}.md", "fenugreek\n", workspace="ways")
    home = own.memory.projects.called("ways", "files")
    (own.memory.projects.folder(home) / "notes" / "lost.md").unlink()
    own.memory.outside.reconcile(lambda *_: None)
    for text in ("fenugreek", "path:notes/"):
        hits = client.get("/search", q=text, workspace="ways", project="files").json
        assert [hit["path"] for hit in hits] == ["notes/here.md"]
