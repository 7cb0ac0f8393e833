from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ai_memory.model.former import former_of, merged, moved_line, purged_line
from ai_memory.model.scope import Project, Workspace
from ai_memory.model.tombstone import Tombstone, tombstones_in, with_tombstones

WORKSPACE = Workspace(UUID(int=1), "default")
AT = datetime(2026, 11, 21, 10, 0, 0, 500, tzinfo=UTC)
names = st.text(st.characters(exclude_categories=("C",), exclude_characters="/:"), min_size=1).filter(
    lambda name: name.strip() and name != "-"
)
roots = st.lists(names.map(lambda name: f"/srv/{name}"), unique=True)


@given(names, st.lists(names, unique=True), roots, st.sampled_from(["", "github.com/acme/shop"]))
def test_a_tombstone_in_a_manifest_tells_where_the_project_was(name, aliases, places, identity):
    project = Project(UUID(int=2), WORKSPACE.id, "default", name, identity, tuple(places), tuple(aliases))
    purged, moved = purged_line(project, AT), moved_line(project, UUID(int=3), AT)
    read = tombstones_in(with_tombstones("", [purged]))
    assert read == {str(project.id): purged}
    found = former_of(WORKSPACE, read[str(project.id)])
    assert (found.was, found.project, found.purged) == (project.id, project, True)
    assert found.at == datetime(2026, 11, 21, 10, 0, 1, tzinfo=UTC)
    found = former_of(WORKSPACE, tombstones_in(with_tombstones("", [moved]))[str(project.id)])
    assert (found.was, found.project.id, found.project.roots, found.purged) == (
        project.id,
        UUID(int=3),
        tuple(places),
        False,
    )


def test_other_lines_tell_of_no_project():
    for verb, what in (
        ("delete-page", "notes/a.md"),
        ("purge-project", "no-id shop -"),
        ("move-project", str(UUID(int=1))),
    ):
        assert former_of(WORKSPACE, Tombstone(AT, verb, what)) is None


def test_a_project_that_takes_another_in_is_found_by_what_led_to_either():
    target = Project(UUID(int=2), WORKSPACE.id, "team", "shop", "", ("/a",), ("old",))
    source = Project(
        UUID(int=3), WORKSPACE.id, "default", "Shop", "github.com/acme/shop", ("/b", "/a"), ("older", "old")
    )
    found = merged(target, source)
    assert (found.id, found.name, found.identity) == (target.id, "shop", "github.com/acme/shop")
    assert (found.roots, found.aliases) == (("/a", "/b"), ("old", "older"))
