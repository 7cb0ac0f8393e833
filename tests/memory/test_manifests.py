"""Manifests that somebody else changed, broke or took away: no project is lost, and nothing deleted comes back."""

import shutil
import subprocess
import uuid

import pytest

from ai_memory.errors import StorageError
from ai_memory.memory.intake import Delivery
from ai_memory.memory.pages import Writer
from ai_memory.model.tombstone import Tombstone, tombstones_in, with_tombstones
from ai_memory.store.git import MergeUnfinishedError
from ai_memory.store.manifests import ManifestUnreadableError, WikiAwayError
from tests.memory.test_moves import ends, labels, project, read, reopen, send
from tests.memory.test_moves import write as write_page
from tests.memory.test_purge import purge_session
from tests.mirror import assert_rebuild_is_equal

WRITER = Writer("codex")
OTHER_DELETE = "\n## Gone\n\n- 2026-11-20T10:00:30Z delete-page notes/b.md\n"


@pytest.fixture
def world(world):
    world.memory.projects.create("default", "shop")
    return world


def write(world, path, body="A page."):
    world.passes(seconds=1)
    return write_page(world, path, body)


def git(world, *arguments, where=None, may_fail=False):
    who = {f"GIT_{role}_{what}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dates = {f"GIT_{role}_DATE": world.now.isoformat() for role in ("AUTHOR", "COMMITTER")}
    place = where or world.data / "wiki"
    return subprocess.run(["git", *arguments], cwd=place, env={**who, **dates}, check=not may_fail, capture_output=True)


def clone(world, tmp_path):
    git(world, "clone", "-q", str(world.data / "wiki"), str(tmp_path / "clone"), where=tmp_path)
    return tmp_path / "clone"


def pull(world, source, *how, may_fail=False):
    git(world, "pull", "-q", "--no-edit", *how, str(source), "main", may_fail=may_fail)


def manifest(world, root=None):
    shop = project(world)
    return (root or world.data / "wiki") / str(shop.workspace_id) / str(shop.id) / "_meta.md"


def passed(world, times=1):
    for _ in range(times):
        world.passes(minutes=1)
        world.memory.outside.reconcile()


def at_clone(root):
    return {"repo_root": root, "cwd": root, "identity": "github.com/acme/shop"}


def named(world, key):
    return world.memory.status(bind="")["pages"][key]["count"]


def mirror(world):
    def open_and_close():
        world.open()
        world.close()

    world.close()
    assert_rebuild_is_equal(world.data, open_and_close)
    world.open()


# Tombstones as text


def test_a_tombstone_with_an_impossible_date_is_a_line_of_somebody(world):
    body = "\n## Gone\n\n- 2026-13-40T10:00:00Z delete-page notes/a.md\n- 2026-11-20T10:00:00Z delete-page notes/b.md\n"
    (known,) = tombstones_in(body).values()
    assert known.what == "notes/b.md"
    later = Tombstone(known.at, "delete-page", "notes/c.md")
    assert with_tombstones(body, [known, later]) == (
        "\n## Gone\n\n- 2026-11-20T10:00:00Z delete-page notes/b.md\n- 2026-11-20T10:00:00Z delete-page notes/c.md\n"
        "\n- 2026-13-40T10:00:00Z delete-page notes/a.md\n"
    )
    manifest(world).write_text(manifest(world).read_text() + body)
    world.memory.outside.reconcile()
    world.crash()
    world.open()
    assert labels(world) == ["default/shop"]


def test_what_a_person_wrote_around_the_tombstones_stays():
    body = "\nOur shop.\n\n## Gone\n\n- 2026-11-20T10:00:00Z delete-page a.md\n\n## Links\n\n- one\n"
    tombstones = tombstones_in(body)
    assert with_tombstones(body, tombstones.values()) == body
    assert with_tombstones(body, ()) == "\nOur shop.\n\n## Links\n\n- one\n"
    other = Tombstone(tombstones["a.md"].at, "delete-page", "b.md")
    more = with_tombstones(body, [*tombstones.values(), other])
    assert more == body.replace("a.md\n", "a.md\n- 2026-11-20T10:00:00Z delete-page b.md\n")


def test_a_path_that_is_no_line_is_not_written_as_one():
    broken = Tombstone(tombstones_in(OTHER_DELETE)["notes/b.md"].at, "outside-delete", "notes/a\nb.md")
    assert with_tombstones("", [broken]) == ""
    assert with_tombstones(OTHER_DELETE, [broken, *tombstones_in(OTHER_DELETE).values()]) == OTHER_DELETE


# What somebody else wrote


def test_words_in_a_manifest_stay(world):
    write(world, "notes/a.md")
    file = manifest(world)
    file.write_text(file.read_text().replace("---\nt", "---\n# mine\nt") + "\nMy own words about this project.\n")
    world.memory.pages.delete(project(world), "notes/a.md", WRITER)
    world.works(str(uuid.uuid4()))
    text = file.read_text()
    assert ("My own words about this project.\n" in text, "# mine\n" in text, "/srv/shop" in text) == (True, True, True)
    assert list(tombstones_in(text)) == ["notes/a.md"]


def test_a_delete_keeps_tombstones_that_were_pulled_a_moment_ago(world, tmp_path):
    for name in "abc":
        write(world, f"notes/{name}.md")
    other = clone(world, tmp_path)
    file = manifest(world, other)
    file.write_text(file.read_text() + OTHER_DELETE)
    git(world, "rm", "-q", str(file.parent / "notes/b.md"), where=other)
    git(world, "commit", "-qam", "theirs", where=other)
    pull(world, other, "--ff-only")
    world.memory.pages.delete(project(world), "notes/c.md", WRITER)
    passed(world)
    assert sorted(tombstones_in(manifest(world).read_text())) == ["notes/b.md", "notes/c.md"]
    mirror(world)


def test_a_purge_keeps_a_purge_that_was_pulled_a_moment_ago(world, ids, tmp_path):
    shop = project(world)
    write(world, "notes/a.md")
    world.memory.projects.create("default", "other")
    write_page(world, "notes/x.md", name="other")
    other = clone(world, tmp_path)
    file = other / str(shop.workspace_id) / "_meta.md"
    line = f"- 2026-11-20T11:00:00Z purge-project {shop.id} shop - /srv/shop\n"
    file.write_text(f"{file.read_text()}\n## Gone\n\n{line}")
    git(world, "rm", "-rq", str(file.parent / str(shop.id)), where=other)
    git(world, "commit", "-qam", "theirs", where=other)
    pull(world, other, "--ff-only")
    world.passes(hours=2)
    world.memory.purge.project(project(world, "other"), confirm=True, force=True)
    assert line in (world.data / "wiki" / str(shop.workspace_id) / "_meta.md").read_text()
    assert labels(world) == []


def test_a_manifest_keeps_the_names_and_roots_that_somebody_else_gave_it(world):
    send(world, str(uuid.uuid4()), **at_clone("/srv/shop"))
    file = manifest(world)
    file.write_text(file.read_text().replace("name: shop", "name: store").replace("- /srv/shop", "- /home/b/shop"))
    # Before anybody has read it, a new clone makes us write it.
    send(world, str(uuid.uuid4()), **at_clone("/home/c/shop"))
    (found,) = world.memory.projects.all()
    assert (found.name, found.roots) == ("store", ("/home/b/shop", "/home/c/shop"))
    passed(world)
    assert world.memory.projects.all() == [found]


# Manifests that cannot be read


def half_saved(world):
    manifest(world).write_text(manifest(world).read_text().replace("name: shop", "name: shop: x"))


def empty(world):
    manifest(world).write_text("")


def not_text(world):
    manifest(world).write_bytes(b"---\nname: \xff\n---\n")


def in_conflict(world):
    text = manifest(world).read_text()
    manifest(world).write_text(text + f"<<<<<<< ours\n- one\n=======\n{OTHER_DELETE}>>>>>>> theirs\n")


@pytest.mark.parametrize("breaks", [half_saved, empty, not_text, in_conflict])
@pytest.mark.parametrize("restart", [False, True])
def test_a_project_with_a_manifest_that_cannot_be_read_is_what_it_was(world, ids, breaks, restart):
    send(world, ids[0], **at_clone("/srv/shop"))
    ends(world, ids[0])
    write(world, "notes/a.md")
    write(world, "notes/c.md")
    world.memory.pages.delete(project(world), "notes/c.md", WRITER)
    shop, good = project(world), manifest(world).read_bytes()
    breaks(world)
    broken = manifest(world).read_bytes()
    if restart:
        reopen(world)
    passed(world)
    assert world.memory.projects.all() == [shop]
    assert (world.memory.stores.wiki.is_gone(shop.id, "notes/c.md"), named(world, "unreadable_manifests")) == (True, 1)
    # Work goes on, also from another clone; a delete would have to write into it.
    assert world.says(ids[0], "user-prompt", prompt="go on") == "stored"
    assert send(world, ids[1], **at_clone("/home/c/shop")) == ("stored", "default/shop")
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    with pytest.raises(ManifestUnreadableError):
        world.memory.pages.delete(shop, "notes/a.md", WRITER)
    path = manifest(world).relative_to(world.data / "wiki").as_posix()
    assert (manifest(world).read_bytes(), world.memory.stores.wiki.git.show(path)) == (broken, good.decode())
    manifest(world).write_bytes(good)
    passed(world)
    world.memory.pages.delete(shop, "notes/a.md", WRITER)
    assert (world.memory.projects.all(), named(world, "unreadable_manifests")) == ([shop], 0)
    mirror(world)


def test_a_conflict_in_a_manifest_costs_no_project(world, tmp_path, ids):
    ends(world, ids[0])
    shop, good = project(world), manifest(world).read_text()
    other = clone(world, tmp_path)
    manifest(world, other).write_text(good.replace("- /srv/shop\n", "- /srv/shop\n- /home/b/shop\n"))
    git(world, "commit", "-qam", "their root", where=other)
    manifest(world).write_text(good.replace("- /srv/shop\n", "- /srv/shop\n- /home/a/shop\n"))
    git(world, "commit", "-qam", "our root")
    pull(world, other, "--no-rebase", may_fail=True)
    passed(world)
    assert (labels(world), named(world, "unreadable_manifests")) == (["default/shop"], 1)
    assert {world.says(each, "user-prompt", prompt="go on") for each in ids[:2]} == {"stored"}
    with pytest.raises(MergeUnfinishedError):
        world.memory.pages.delete(shop, f"sessions/{ids[0]}.md", WRITER)
    manifest(world).write_text(good)
    git(world, "commit", "-qam", "merged")
    passed(world)
    assert ([each.id for each in world.memory.projects.all()], named(world, "unreadable_manifests")) == ([shop.id], 0)


# Manifests that are missing


@pytest.mark.parametrize("restart", [False, True])
def test_a_manifest_that_is_missing_is_written_again_with_the_next_tombstone(world, restart):
    for name in "ab":
        write(world, f"notes/{name}.md")
    shop = project(world)
    manifest(world).write_text(manifest(world).read_text() + "\nMy own words.\n")
    write(world, "notes/c.md")
    text = manifest(world).read_text()
    manifest(world).unlink()
    write(world, "notes/d.md")
    passed(world)
    if restart:
        reopen(world)
    assert (world.memory.projects.all(), named(world, "unreadable_manifests")) == ([shop], 1)
    world.memory.pages.delete(shop, "notes/c.md", WRITER)
    assert manifest(world).read_text().startswith(text)
    assert list(tombstones_in(manifest(world).read_text())) == ["notes/c.md"]
    passed(world)
    assert named(world, "unreadable_manifests") == 0
    mirror(world)


@pytest.mark.parametrize("what", ["", "_meta.md"])
def test_a_project_that_somebody_took_out_with_git_leaves_the_index(world, ids, what):
    ends(world, ids[0])
    write(world, "notes/a.md", "xanthippe")
    shop = project(world)
    git(world, "rm", "-rq", f"{shop.workspace_id}/{shop.id}/{what}")
    git(world, "commit", "-qm", "gone")
    passed(world, 2)
    assert (labels(world), world.memory.stores.pages.counts()["pages"]) == ([], 0)
    assert world.memory.stores.page_search.find("xanthippe", [], 5, now=world.now) == []
    assert named(world, "raw_logs_of_unknown") == 1
    mirror(world)
    git(world, "revert", "--no-edit", "HEAD")
    passed(world)
    assert (read(world, "notes/a.md"), named(world, "raw_logs_of_unknown")) == ("xanthippe", 0)
    mirror(world)


def test_a_wiki_that_vanishes_is_waited_for(world, ids):
    ends(world, ids[0])
    write(world, "notes/a.md")
    shop, wiki, away = project(world), world.data / "wiki", world.data / "away"
    wiki.rename(away)
    wiki.mkdir()
    passed(world, 2)
    assert world.memory.outside.changed([wiki / str(shop.workspace_id) / str(shop.id) / "notes/a.md"]) == []
    assert (labels(world), world.memory.stores.pages.counts()["pages"]) == (["default/shop"], 3)
    assert any(str(wiki) in each for each in world.memory.status(bind="")["warnings"])
    assert {world.says(each, "user-prompt", prompt="while away") for each in ids[:2]} == {"stored"}
    elsewhere = Delivery({"agent": "codex", "event": "stop", "cwd": "/srv/new"}, b'{"session_id": "x"}')
    (refused,) = world.memory.intake.record([elsewhere])
    assert isinstance(refused, WikiAwayError)
    with pytest.raises(StorageError):
        write(world, "notes/b.md")
    with pytest.raises(StorageError):
        world.memory.pages.delete(shop, "notes/a.md", WRITER)
    assert list(wiki.iterdir()) == []
    shutil.rmtree(wiki)
    away.rename(wiki)
    passed(world)
    assert world.memory.status(bind="")["warnings"] == []
    for each in ids[:2]:
        world.says(each, "session-end")
    world.memory.sessions.settle()
    assert ([p.id for p in world.memory.projects.all()], sorted(world.pages())) == ([shop.id], ids[:2])
    mirror(world)


# What was purged


def test_what_was_purged_does_not_come_back_by_a_pull(world, tmp_path, ids):
    ends(world, ids[0])
    write(world, "notes/a.md", "xanthippe")
    shop, other = project(world), clone(world, tmp_path)
    (draft,) = world.memory.packets.drafts("owner")
    purge_session(world, ids[0], history=True)
    world.memory.purge.page(shop, "notes/a.md", confirm=True)
    pull(world, other, "--no-rebase", "--allow-unrelated-histories", may_fail=True)
    git(world, "checkout", "--theirs", ".")
    git(world, "add", "-A")
    git(world, "commit", "-qm", "merge")
    passed(world, 2)
    assert (world.pages(), (manifest(world).parent / "notes/a.md").exists()) == ({}, False)
    gone = ["notes/a.md", f"sessions/{ids[0]}.md", ids[0], f"packets/{draft.id}.md"]
    assert (sorted(tombstones_in(manifest(world).read_text())), named(world, "purged_again")) == (sorted(gone), 4)
    mirror(world)


@pytest.mark.parametrize("restart", [False, True])
def test_a_purged_project_does_not_come_back_by_a_pull(world, tmp_path, ids, restart):
    ends(world, ids[0])
    shop, other = project(world), clone(world, tmp_path)
    world.memory.purge.project(shop, confirm=True)
    git(world, "checkout", "-q", git(world, "rev-parse", "HEAD", where=other).stdout.decode().strip(), "--", ".")
    git(world, "commit", "-qm", "as it was")
    if restart:
        reopen(world)
    passed(world)
    assert (labels(world), named(world, "purged_again")) == ([], 1)
    text = (world.data / "wiki" / str(shop.workspace_id) / "_meta.md").read_text()
    assert list(tombstones_in(text)) == [str(shop.id)]
    # Its files are there for git and for people; nobody else reads them.
    assert world.memory.stores.pages.newest(shop.id, f"sessions/{ids[0]}.md") is None


def test_a_purge_of_before_is_kept_in_the_state_from_the_next_start(world, ids):
    ends(world, ids[0])
    shop = project(world)
    (draft,) = world.memory.packets.drafts("owner")
    purge_session(world, ids[0])
    state = world.memory.stores.state
    kept = state.purged()
    assert sorted(kept[shop.id]) == sorted([ids[0], f"sessions/{ids[0]}.md", f"packets/{draft.id}.md"])
    state.forget_purged(shop.id)
    reopen(world)
    assert world.memory.stores.state.purged() == kept


def test_a_page_that_moves_to_where_one_was_purged_gets_another_name(world):
    write(world, "notes/a.md", "purged here")
    world.memory.purge.page(project(world), "notes/a.md", confirm=True)
    world.memory.projects.create("team", "shop")
    write_page(world, "notes/a.md", "of the team", workspace="team")
    world.memory.moves.move_project(project(world, workspace="team"), "default", confirm=True, on_conflict="overwrite")
    assert [row.path for row in world.memory.stores.pages.pages(project(world).id)] == ["notes/a-from-team.md"]
    passed(world)
    assert read(world, "notes/a-from-team.md") == "of the team"
    mirror(world)
