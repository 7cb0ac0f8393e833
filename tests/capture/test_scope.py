from dataclasses import replace
from uuid import UUID

import pytest

from ai_memory.capture.scope import Defaults, New, resolve, routing_of, widened
from ai_memory.errors import BadRequestError, ScopeUnresolvedError
from ai_memory.model.scope import BadNameError, Project, Resolved, Routing

SHOP = Project(UUID(int=2), UUID(int=1), "default", "shop", "github.com/acme/shop", ("/w/shop",))
NOTES = Project(UUID(int=3), UUID(int=1), "default", "notes", "", ("/w/notes",))
TEAM = Project(UUID(int=4), UUID(int=9), "team", "shop")
ALL = [SHOP, NOTES, TEAM]
DEFAULTS = Defaults(home="/home/dev")


def found(routing, session=()):
    return resolve(routing, ALL, DEFAULTS, session)


def test_a_marker_beats_everything_else():
    routing = Routing("/w/shop", "team", "shop", "marker", identity="github.com/acme/shop", repo_root="/w/shop")
    assert found(routing, [NOTES]) == Resolved(TEAM, "marker")


def test_two_clones_of_one_remote_are_one_project():
    routing = Routing("/elsewhere/shop-2", identity="github.com/acme/shop", repo_root="/elsewhere/shop-2")
    assert found(routing) == Resolved(SHOP, "git-remote")


def test_one_folder_name_with_another_remote_is_another_project():
    routing = Routing("/x/shop", identity="github.com/beta/shop", repo_root="/x/shop")
    assert found(routing) == New("default", "shop-beta", "github.com/beta/shop", ("/x/shop",), "git-remote")


def test_a_repository_that_gets_a_remote_later_stays_the_same_project():
    routing = Routing("/w/notes", identity="github.com/dev/notes", repo_root="/w/notes")
    assert found(routing) == Resolved(NOTES, "repo-root")
    assert widened(NOTES, routing).identity == "github.com/dev/notes"


def test_another_repository_at_a_known_place_is_not_the_old_project():
    routing = Routing("/w/shop", identity="github.com/acme/store", repo_root="/w/shop")
    assert found(routing).identity == "github.com/acme/store"


@pytest.mark.parametrize("cwd", ["/w/shop/api", "/w/shop/web/src", "/var/data", "/tmp/scratch", ""])
def test_a_running_session_stays_in_its_project_wherever_it_goes(cwd):
    assert found(Routing(cwd), [SHOP]) == Resolved(SHOP, "session")


def test_a_submodule_and_a_clone_in_a_scratch_folder_stay_with_the_session():
    inside = Routing("/w/shop/vendor/x", identity="github.com/x/x", repo_root="/w/shop/vendor/x")
    scratch = Routing("/tmp/y", identity="github.com/y/y", repo_root="/tmp/y")
    assert [found(inside, [SHOP]), found(scratch, [SHOP])] == [Resolved(SHOP, "session")] * 2


def test_a_session_that_moves_to_another_repository_follows_it():
    assert found(Routing("/w/notes", repo_root="/w/notes"), [SHOP]) == Resolved(NOTES, "repo-root")


def test_a_directory_inside_a_known_root_belongs_to_it_by_whole_components():
    assert found(Routing("/w/shop/api")) == Resolved(SHOP, "path")
    assert found(Routing("/w/shop_x")) == New("default", "shop_x", "", (), "name")


def test_the_name_of_a_plain_directory_is_kept_as_it_is_and_compared_without_case():
    assert found(Routing("/srv/MyApp")) == New("default", "MyApp", "", (), "name")
    assert found(Routing("/srv/.config")).name == ".config"
    assert found(Routing("/srv/SHOP")) == Resolved(SHOP, "name")


@pytest.mark.parametrize(
    "cwd", ["/", "/home/dev", "/x/_Global", "/root", "/home/ana", "/Users/ana", "C:/", "C:/Users/Ana", "/srv/.."]
)
def test_nothing_is_ever_recorded_for_a_home_directory_the_root_or_the_reserved_name(cwd):
    with pytest.raises(ScopeUnresolvedError, match="nothing is recorded"):
        found(Routing(cwd))


def test_an_event_without_a_place_goes_to_the_default_project():
    assert found(Routing()) == New("default", "scratch", "", (), "default")


@pytest.mark.parametrize("name", ["Big", "a/b", "-x", "ü"])
def test_a_name_that_somebody_wrote_down_must_be_legal(name):
    with pytest.raises(BadNameError, match="not usable"):
        found(Routing("/w/x", project=name, project_src="marker"))
    with pytest.raises(BadRequestError):
        found(Routing("/w/x", workspace=name))


def test_windows_paths_are_compared_like_others():
    assert routing_of({"cwd": "C:\\src\\shop\\"}, "").cwd == "C:/src/shop"
    assert routing_of({"cwd": "/a"}, "/b/").cwd == "/b"


def test_a_name_that_a_project_had_before_leads_to_it_unless_another_is_called_so():
    renamed = replace(NOTES, name="diary", aliases=("Notes", "shop"))
    projects = [renamed, SHOP]
    assert resolve(Routing("/x", project="notes", project_src="marker"), projects, DEFAULTS) == Resolved(
        renamed, "marker"
    )
    assert resolve(Routing("/x", project="shop", project_src="marker"), projects, DEFAULTS) == Resolved(SHOP, "marker")


def test_a_project_that_is_widened_keeps_its_former_names():
    renamed = replace(NOTES, name="diary", aliases=("notes",))
    assert widened(renamed, Routing("/w/n2", repo_root="/w/n2")).aliases == ("notes",)
