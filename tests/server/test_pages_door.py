"""Pages over HTTP: the wire's shapes, what is refused, and the past."""

import asyncio
import json
import subprocess
import tarfile
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest

from ai_memory.config import load_settings
from ai_memory.memory.memory import Memory
from ai_memory.server.app import create_app

SHOP = {"workspace": "default", "project": "shop"}


class Door:
    """A server whose clock the test moves."""

    def __init__(self, client, memory, clock):
        self.client, self.memory, self._clock = client, memory, clock

    def passes(self, **time):
        self._clock[0] += timedelta(**time)

    async def get(self, path, status=200, /, **query):
        answer = await self.client.get(f"/admin/{path}", params=query)
        assert answer.status == status, await answer.text()
        return await answer.json()

    async def post(self, path, status=200, /, **body):
        answer = await self.client.post(f"/admin/{path}", json=body)
        assert answer.status == status, await answer.text()
        return await answer.json()

    async def writes(self, path, body, /, **more):
        self.passes(minutes=1)
        return await self.post("write-page", **{**SHOP, "path": path, "body": body, "user": "ana", **more})

    def folder(self):
        (project,) = self.memory.projects.all()
        return self.memory.stores.wiki.folder(project)

    async def notices(self, path, content):
        """Somebody writes a file, and the watcher sees it."""
        file = self.folder() / path

        def write():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            self.memory.outside.changed([file])

        await asyncio.to_thread(write)


@pytest.fixture
async def door(tmp_path, aiohttp_client, no_blocking):
    clock = [datetime(2026, 11, 20, 10, 0, tzinfo=UTC)]
    memory = Memory(load_settings(tmp_path / "data"), clock=lambda: clock[0])
    client = await aiohttp_client(create_app(memory, bind="127.0.0.1:0"))
    yield Door(client, memory, clock)
    await client.close()
    memory.close()


async def test_a_write_says_what_became_of_it(door):
    made = await door.writes("notes/vat.md", "# VAT\n", tags=["vat"], agent="codex", reason="asked for")
    assert made == {
        "page_id": made["page_id"],
        "path": "notes/vat.md",
        "revision": made["revision"],
        "checkpoint": made["revision"],
        "changed": True,
        "created": True,
        "scope": "default/shop",
        "resolved_by": "explicit",
    }
    again = await door.writes("notes/vat.md", "# VAT\n", tags=["vat"])
    assert (again["page_id"], again["revision"]) == (made["page_id"], made["revision"])
    assert (again["changed"], again["created"], "checkpoint" in again) == (False, False, False)
    (row,) = await door.get("checkpoints")
    assert row == {
        "oid": made["revision"],
        "short_oid": made["revision"][:12],
        "time": int(datetime(2026, 11, 20, 10, 1, tzinfo=UTC).timestamp()),
        "summary": "write-page default/shop: notes/vat.md — asked for",
        "author": "ana, Codex",
        "pages": ["default/shop/notes/vat.md"],
        "page_count": 1,
    }


async def test_a_page_is_read_with_everything_that_is_known_of_it(door):
    await door.writes("a.md", "see [[notes/b]] and [[nowhere]]\n")
    body = "---\ntype: Note\ndue: 2026-12-24\nat: 2026-12-24T10:00:00Z\nrate: .nan\nset: !!set {x}\n1: one\n---\n# B\n\nback to [a](../a.md)\n"
    made = await door.writes("notes/b.md", body)
    page = await door.get("read-page", **SHOP, path="notes/b.md")
    assert page == {
        **SHOP,
        "page_id": made["page_id"],
        "path": "notes/b.md",
        "title": "B",
        "body": "# B\n\nback to [a](../a.md)\n",
        "frontmatter": {
            "type": "Note",
            "due": "2026-12-24",
            "at": "2026-12-24 10:00:00+00:00",
            "rate": "nan",
            "set": ["x"],
            "1": "one",
        },
        "text": body,
        "revision": made["revision"],
        "committed_at": "2026-11-20T10:02:00Z",
        "author": "ana",
        "pinned": False,
        "kind": "note",
        "tier": "semantic",
        "problem": "",
        "links": [{**SHOP, "path": "a.md", "title": "a", "exists": True}],
        "backlinks": [{**SHOP, "path": "a.md", "title": "a", "exists": True}],
        "backlink_count": 1,
    }
    links = (await door.get("read-page", **SHOP, path="a.md"))["links"]
    assert [(link["path"], link["exists"]) for link in links] == [("notes/b.md", True), ("nowhere.md", False)]


async def test_a_question_reads_the_page_that_fits_best(door):
    await door.writes("a.md", "# Saffron\n\nsaffron saffron\n")
    await door.writes("b.md", "# Rice\n\nwith a little saffron, and much else that is not about it\n")
    assert (await door.get("read-page", **SHOP, q="saffron"))["path"] == "a.md"
    assert "says anything of 'pepper'" in (await door.get("read-page", 404, **SHOP, q="pepper"))["error"]


async def test_search_gives_a_bare_list_of_hits(door):
    made = await door.writes("a.md", "# Saffron\n\nIt is red.\n")
    await door.post("write-page", workspace="team", project="infra", path="b.md", body="saffron\n")
    hits = await door.get("search", q="how red is saffron?", **SHOP)
    assert hits == [
        {
            "id": made["page_id"],
            **SHOP,
            "path": "a.md",
            "kind": "fact",
            "title": "Saffron",
            "heading": "Saffron",
            "snippet": hits[0]["snippet"],
            "rank": -1.1,
            "why": "its words",
        }
    ]
    assert hits[0]["snippet"].startswith("It is <mark>red</mark>.")
    assert {hit["project"] for hit in await door.get("search", q="saffron")} == {"shop", "infra"}
    assert len(await door.get("search", q="saffron", limit="1")) == 1


async def test_the_past_is_read_by_revision_and_by_time(door):
    first = await door.writes("a.md", "one")
    door.passes(days=1)
    await door.writes("a.md", "two")
    door.passes(days=1)
    await door.post("delete-page", **SHOP, path="a.md", user="ana")
    old = await door.get("read-page", **SHOP, path="a.md", at="2026-11-20")
    assert (old["body"], old["revision"], old["committed_at"]) == ("one", first["revision"], "2026-11-20T10:01:00Z")
    assert (await door.get("read-page", **SHOP, path="a.md", revision=first["revision"][:10])) == old
    assert (await door.get("read-page", **SHOP, path="a.md", at="2026-11-21T12:00:00+01:00"))["body"] == "two"
    assert [hit["path"] for hit in await door.get("search", q="two", at="2026-11-21")] == ["a.md"]
    assert await door.get("search", q="two", at="2026-11-20") == []
    assert await door.get("search", q="two") == []
    history = await door.get("history", **SHOP, path="a.md")
    assert [(each["at"], each["deleted"], each["author"], each["subject"]) for each in history["versions"]] == [
        ("2026-11-22T10:02:00Z", True, "ana", "delete-page default/shop: a.md"),
        ("2026-11-21T10:02:00Z", False, "ana", "write-page default/shop: a.md"),
        ("2026-11-20T10:01:00Z", False, "ana", "write-page default/shop: a.md"),
    ]
    new = history["versions"][1]["revision"]
    compared = await door.get("diff", **SHOP, path="a.md", old=first["revision"], new=new)
    assert compared["diff"].splitlines()[-4:] == [
        "-one",
        "\\ No newline at end of file",
        "+two",
        "\\ No newline at end of file",
    ]
    restored = await door.post("restore-page", **SHOP, path="a.md", rev=new)
    assert (restored["path"], restored["restored_from"], restored["created"]) == ("a.md", new, True)
    assert (await door.get("read-page", **SHOP, path="a.md"))["body"] == "two"


async def test_a_conditional_write_that_does_not_hold_is_answered_with_both_sides(door):
    first = await door.writes("a.md", "one")
    second = await door.writes("a.md", "two", expected_revision=first["revision"])
    said = await door.post("write-page", 409, **SHOP, path="a.md", body="three", expected_revision=first["revision"])
    assert said["current"] == {"revision": second["revision"], "text": "---\ntype: Note\n---\ntwo"}
    assert said["yours"] == {"expected_revision": first["revision"], "text": "three"}
    assert said["error"].startswith("a.md was changed by ana on 2026-11-20T10:02:00Z")
    await door.post("write-page", 409, **SHOP, path="a.md", body="three", create_only=True)
    await door.post("write-page", 409, **SHOP, path="a.md", body="three", expected_revision="")


async def test_a_delete_is_counted_first_and_can_be_asked_for_twice(door):
    await door.writes("a.md", "one")
    await door.writes("b.md", "[[a]]")
    asked = {**SHOP, "path": "a.md"}
    remains = {"path": "a.md", "scope": "default/shop", "remains": "git history and backups keep it"}
    assert await door.post("delete-page", **asked, dry_run=True) == {
        **remains,
        "dry_run": True,
        "deleted": False,
        "would_delete": True,
        "versions": 1,
        "backlinks": 1,
    }
    done = await door.post("delete-page", **asked)
    assert done == {**remains, "deleted": True, "checkpoint": done["checkpoint"]}
    assert await door.post("delete-page", **asked) == {**remains, "deleted": False}
    assert "revive" in (await door.post("write-page", 409, **asked, body="x"))["error"]


@pytest.mark.parametrize(
    ("method", "path", "asked", "status", "said"),
    [
        ("post", "write-page", {"path": "a.md", "body": "x"}, 400, "name both, workspace and project"),
        ("post", "write-page", {**SHOP, "body": "x"}, 400, "path is missing"),
        ("post", "write-page", {**SHOP, "path": "a.md"}, 400, "body is missing"),
        ("post", "write-page", {**SHOP, "path": "a.md", "body": 1}, 400, "body must be a text"),
        ("post", "write-page", {**SHOP, "path": "a.md", "body": "x", "pinned": "yes"}, 400, "pinned must be true or"),
        ("post", "write-page", {**SHOP, "path": "a.md", "body": "x", "tags": "x"}, 400, "tags must be a list of texts"),
        ("post", "write-page", {**SHOP, "path": "../a.md", "body": "x"}, 422, "page path '../a.md' must be relative"),
        ("post", "write-page", {**SHOP, "path": "a.md", "body": "x", "tier": "top"}, 422, "tier 'top' is not one of"),
        (
            "post",
            "write-page",
            {"routing": {"cwd": "/"}, "path": "a.md", "body": "x"},
            400,
            "nothing is recorded for /",
        ),
        ("post", "delete-page", {**SHOP, "path": "a.md"}, 404, "there is no project default/shop (known: none yet)"),
        ("post", "restore-page", {**SHOP, "path": "a.md", "rev": "x"}, 404, "there is no project default/shop"),
        ("get", "read-page", {**SHOP, "path": "a.md"}, 404, "there is no project default/shop"),
        ("get", "read-page", {"project": "shop", "path": "a.md"}, 400, "name both, workspace and project"),
        ("get", "search", {"q": "x", "workspace": "default"}, 400, "name both, workspace and project, or neither"),
        ("get", "search", {}, 400, "q is missing"),
        ("get", "search", {"q": "x", "limit": "101"}, 400, "limit must be a number from 1 to 100"),
        ("get", "search", {"q": "x", "at": "soon"}, 400, "at 'soon' is not a time"),
        ("get", "checkpoints", {"limit": "0"}, 400, "limit must be a number from 1 to 100"),
    ],
)
async def test_what_cannot_be_answered_is_said_and_creates_nothing(door, method, path, asked, status, said):
    answer = await getattr(door, method)(path, status, **asked)
    assert answer["error"].startswith(said)
    assert await door.get("projects") == {"projects": []}


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        ("read-page", {}, 400),
        ("read-page", {"path": "a.md", "q": "x"}, 400),
        ("read-page", {"path": "a.md", "revision": "HEAD", "at": "2026-11-20"}, 400),
        ("read-page", {"path": "b.md"}, 404),
        ("read-page", {"path": "a.md", "revision": "-x"}, 404),
        ("history", {}, 400),
        ("history", {"path": "b.md"}, 404),
        ("diff", {"path": "a.md"}, 400),
        ("diff", {"path": "a.md", "old": "nonsense"}, 404),
    ],
)
async def test_what_is_not_there_is_said(door, path, asked, status):
    await door.writes("a.md", "one")
    assert list(await door.get(path, status, **SHOP, **asked)) == ["error"]


@pytest.mark.parametrize("path", ["/etc/passwd.md", "../../outside.md", "x/../../outside.md"])
async def test_no_path_leads_out_of_the_project(door, path):
    await door.writes("a.md", "one")
    outside = door.folder().parent.parent / "outside.md"
    await asyncio.to_thread(outside.write_text, "secret saffron")
    await door.post("delete-page", 422, **SHOP, path=path)
    await door.get("read-page", 404, **SHOP, path=path)
    assert await asyncio.to_thread(outside.exists)
    assert await door.get("search", q="saffron") == []


async def test_an_edit_by_hand_is_committed_on_request(door):
    await door.writes("a.md", "one")
    await door.notices("a.md", b"by hand\n")
    page = await door.get("read-page", **SHOP, path="a.md")
    assert (page["body"], page["revision"], page["author"]) == ("by hand\n", None, None)
    done = await door.post("commit", message="my edits", user="ana")
    assert done["committed"] is True
    assert (await door.get("read-page", **SHOP, path="a.md"))["revision"] == done["oid"]
    assert await door.post("commit") == {"committed": False, "reason": "nothing to commit"}


async def test_what_a_person_wrote_leaves_without_its_secrets(door):
    await door.writes("a.md", "one")
    token = "ghp_" + "a1B2" * 9
    await door.notices("a.md", f"---\ntitle: {token}\n---\n# {token}\n".encode())
    assert token not in json.dumps(await door.get("read-page", **SHOP, path="a.md"))


async def test_projects_say_how_many_pages_they_have_and_when_one_was_last_committed(door):
    await door.writes("a.md", "one")
    await door.writes("b.md", "one")
    await door.post("delete-page", **SHOP, path="b.md")
    door.passes(hours=1)
    await door.post("write-page", workspace="team", project="infra", path="c.md", body="x")
    await asyncio.to_thread(lambda: door.memory.projects.ensure(door.memory.projects.routing({"cwd": "/srv/new"})))
    rows = (await door.get("projects"))["projects"]
    assert [(row["workspace_name"], row["project_name"], row["page_count"], row["last_updated"]) for row in rows] == [
        ("default", "new", 0, None),
        ("default", "shop", 1, "2026-11-20T10:02:00Z"),
        ("team", "infra", 1, "2026-11-20T11:02:00Z"),
    ]


async def test_status_names_the_pages_that_somebody_should_look_at(door):
    await door.writes("a.md", "[[nowhere]]")
    for number in range(7):
        await door.notices(f"bad{number}.md", b"<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n")
    await door.post("delete-page", **SHOP, path="a.md")
    await door.notices("a.md", b"back again\n")
    report = await door.get("status")
    pages = report["pages"]
    assert (pages["with_problems"], len(pages["problems"])) == (7, 5)
    assert pages["problems"][0]["page"] == "default/shop/bad0.md"
    assert "conflict markers" in pages["problems"][0]["problem"]
    assert pages["deleted_but_there"] == {"count": 1, "first": ["default/shop/a.md"]}
    assert pages["missing"] == {"count": 0, "first": []}
    assert (report["counts"]["pages_latest"], report["counts"]["pages_all"]) == (7, 8)
    assert report["derived"]["unresolved_links_from_latest_pages"] == 0
    assert (report["stages"]["pages"]["written"], report["stages"]["pages"]["deleted"]) == (1, 1)


async def export(door, status=200, **query):
    answer = await door.client.post("/admin/export-okf", params={**SHOP, **query})
    assert answer.status == status, await answer.text()
    return answer, await answer.read()


async def test_a_project_is_exported_as_a_bundle(door, tmp_path):
    await door.writes("decisions/0007-rounding.md", "# Rounding [draft]\n\nper invoice, see [[notes/b]]\n")
    await door.notices("notes/by hand.md", b"\xef\xbb\xbf# By hand\r\n\r\nr\xc3\xa9sum\xc3\xa9\r\n")
    await door.notices("notes/b.txt", b"no page")
    await door.notices("_pending/x.md", b"a proposal")
    await asyncio.to_thread((door.folder() / "log-2026-11.md").write_text, "## [x] stop | done\n## torn")
    await asyncio.to_thread((door.folder() / "link.md").symlink_to, "/etc/hostname")
    answer, content = await export(door)
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''default-shop.okf.tar.gz"
    assert answer.content_type == "application/gzip"
    with tarfile.open(fileobj=BytesIO(content)) as archive:
        files = {entry.name: archive.extractfile(entry).read().decode() for entry in archive.getmembers()}
    meta = files.pop("_meta.md")
    assert "type: Project\nname: shop" in meta
    assert files == {
        "decisions/0007-rounding.md": "---\ntype: Decision\n---\n# Rounding [draft]\n\nper invoice, see [[notes/b]]\n",
        "notes/by hand.md": "---\r\ntype: Note\r\n---\r\n# By hand\r\n\r\nrésumé\r\n",
        "log-2026-11.md": "---\ntype: Log\n---\n## [x] stop | done\n",
        "index.md": (
            "---\nokf_version: '0.2'\n---\n\n# Pages\n\n- [\\_meta](_meta.md)\n- [log-2026-11](log-2026-11.md)\n\n"
            "## decisions\n\n- [Rounding \\[draft\\]](decisions/0007-rounding.md)\n\n"
            "## notes\n\n- [By hand](notes/by%20hand.md)\n"
        ),
    }
    assert (door.folder() / "notes" / "by hand.md").read_bytes().startswith(b"\xef\xbb\xbf# By hand")
    assert not list((tmp_path / "data").glob("tmp*"))


async def test_a_page_that_cannot_be_part_of_a_bundle_is_named_or_left_out(door):
    await door.writes("a.md", "one")
    await door.notices("merge.md", b"<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n")
    await door.notices("latin.md", b"caf\xe9\n")
    await door.notices("front.md", b"---\n: [\n---\nx\n")
    await door.notices("notes/index.md", b"mine\n")
    _, refused = await export(door, 422)
    sentence = json.loads(refused)["error"]
    assert [name for name in ("merge.md", "latin.md", "front.md", "notes/index.md") if f"{name}: " in sentence] == [
        "merge.md",
        "latin.md",
        "front.md",
        "notes/index.md",
    ]
    answer, content = await export(door, skip_broken="true")
    assert len(json.loads(answer.headers["X-Memory-Left-Out"])) == 4
    with tarfile.open(fileobj=BytesIO(content)) as archive:
        assert archive.getnames() == ["_meta.md", "a.md", "index.md"]


async def test_git_log_alone_reads_like_the_story(door, tmp_path):
    await door.writes("a.md", "one", agent="claude-code")
    await door.post("delete-page", **SHOP, path="a.md", user="bob", reason="it was wrong")
    await door.post("restore-page", **SHOP, path="a.md", rev="HEAD~1", user="ana")
    command = ["git", "-C", str(tmp_path / "data" / "wiki"), "log", "--reverse", "--format=%an <%ae>: %s"]
    log = (await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)).stdout.splitlines()
    assert [line.rpartition(" from ")[0] or line for line in log] == [
        "ana, Claude Code <claude-code@local>: write-page default/shop: a.md",
        "bob <bob@local>: delete-page default/shop: a.md — it was wrong",
        "ana <ana@local>: restore-page default/shop: a.md",
    ]


@pytest.mark.parametrize(
    ("status", "more"),
    [
        (400, {"expected_revision": "soon"}),
        (409, {"expected_revision": "4be1c0ffee12"}),
        (413, {"body": "x " * 524300}),
        (422, {"tier": "high"}),
    ],
)
@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_a_refused_write_makes_no_project(door, status, more):
    await door.post("write-page", status, **{**SHOP, "path": "a.md", "body": "one", **more})
    assert door.memory.projects.all() == []


async def test_a_link_to_a_project_that_is_not_there_keeps_its_names(door):
    await door.writes("b.md", "two")
    await door.writes("a.md", "[[far/away:c]] [[away:c]] [[b]] [b](b.md) [[default/shop:b]]")
    page = await door.get("read-page", **SHOP, path="a.md")
    assert [(each["workspace"], each["project"], each["path"], each["exists"]) for each in page["links"]] == [
        ("far", "away", "c.md", False),
        (None, "away", "c.md", False),
        ("default", "shop", "b.md", True),
    ]


async def test_pages_that_went_missing_leave_the_list_when_that_is_accepted(door):
    for number in range(8):
        await door.writes(f"{number}.md", "one")
    for file in door.folder().glob("?.md"):
        file.unlink()
    await asyncio.to_thread(door.memory.outside.reconcile)
    assert (await door.get("status"))["pages"]["missing"]["count"] == 8
    await door.post("restore-page", **SHOP, path="0.md", rev="HEAD")
    assert (await door.get("status"))["pages"]["missing"]["count"] == 7
    await door.post("commit")
    assert (await door.get("status"))["pages"]["missing"]["count"] == 0
