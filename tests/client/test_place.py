import os
import subprocess

import pytest

from ai_memory.client.marker import MarkerError
from ai_memory.client.place import Place, is_recorded, look, query


def git(folder, *arguments):
    subprocess.run(
        ["git", "-c", "user.name=T", "-c", "user.email=t@example.org", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
    )


@pytest.fixture
def repository(project):
    git(project, "init", "-q", "-b", "main")
    git(project, "commit", "-q", "--allow-empty", "-m", "first")
    git(project, "remote", "add", "origin", "https://user:hunter22hunter22@github.com/Acme/Shop.git")
    return project


def test_a_repository_is_found_from_below_and_credentials_stay_out(repository, own_home):
    below = repository / "src" / "deep"
    below.mkdir(parents=True)
    assert look(f"{below}/", str(own_home)).facts() == {
        "cwd": str(below),
        "markers": (),
        "root": str(repository),
        "main_root": str(repository),
        "identity": "github.com/acme/shop",
        "at_home": False,
    }


def test_a_linked_worktree_leads_to_the_main_root_and_its_remote(repository, own_home, tmp_path):
    tree = tmp_path / "trees" / "feature"
    git(repository, "worktree", "add", "-q", str(tree))
    found = look(str(tree), str(own_home))
    assert (found.root, found.main_root, found.identity) == (str(tree), str(repository), "github.com/acme/shop")


@pytest.mark.parametrize(("bare", "main"), [("shop.git", "shop.git"), (".bare", "")])
def test_worktrees_of_a_bare_repository_share_one_root(repository, own_home, tmp_path, bare, main):
    shared = tmp_path / "box"
    shared.mkdir()
    git(repository, "clone", "-q", "--bare", str(repository), str(shared / bare))
    git(shared / bare, "remote", "set-url", "origin", "git@h.org:a/b.git")
    git(shared / bare, "worktree", "add", "-q", str(shared / "main-tree"), "main")
    found = look(str(shared / "main-tree"), str(own_home))
    assert (found.main_root, found.identity) == (str(shared / main).rstrip("/"), "h.org/a/b")


def test_a_submodule_is_a_repository_of_its_own(repository, own_home, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "first")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "lib")
    git(repository / "lib", "remote", "set-url", "origin", "https://h.org/lib")
    found = look(str(repository / "lib"), str(own_home))
    assert (found.main_root, found.identity) == (str(repository / "lib"), "h.org/lib")


def test_a_clone_through_a_symlink_is_the_same_repository(repository, own_home):
    link = own_home / "link"
    link.symlink_to(repository)
    found = look(str(link), str(own_home))
    assert (found.cwd, found.main_root) == (str(link), str(repository))


def test_the_home_directory_and_the_root_of_the_disk_are_never_recorded(own_home):
    assert [is_recorded(look(cwd, str(own_home))) for cwd in (str(own_home), f"{own_home}/", "/")] == [False] * 3


def test_a_home_behind_a_symlink_is_still_home(own_home, tmp_path):
    link = tmp_path / "alias"
    link.symlink_to(own_home)
    assert not is_recorded(look(str(link), str(own_home)))
    assert not is_recorded(look(str(own_home), str(link)))


def test_a_marker_with_a_project_makes_even_home_a_place(own_home):
    marker = own_home / ".ai-memory.toml"
    marker.write_text("[capture]\nignore_paths = []\n")
    assert not is_recorded(look(str(own_home), str(own_home)))
    marker.write_text('project = "dotfiles"\n')
    assert is_recorded(look(str(own_home), str(own_home)))


def test_a_repository_at_home_is_nobodys_repository(own_home, project):
    git(own_home, "init", "-q")
    git(own_home, "remote", "add", "origin", "https://h.org/dotfiles")
    found = look(str(project), str(own_home))
    assert (found.root, found.identity, is_recorded(found)) == ("", "", True)


def test_a_directory_that_is_gone_has_no_facts_but_its_name(own_home):
    assert look("/nowhere/shop", str(own_home)).facts() == {
        "cwd": "/nowhere/shop",
        "markers": (),
        "root": "",
        "main_root": "",
        "identity": "",
        "at_home": False,
    }


def test_an_unknown_directory_says_nothing(own_home):
    assert query(look("", str(own_home))) == {}


def test_facts_survive_the_spool(repository, own_home):
    (repository / ".ai-memory.toml").write_text('project = "shop"\n')
    found = look(str(repository), str(own_home))
    assert Place.of(found.facts()).facts() == found.facts()


def lay(root, files):
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.mkdir() if text is None else file.write_text(text)


M = ".ai-memory.toml"
#: files under home, cwd, the routing parameters beside cwd.
INSIDE = [
    ({}, "a", {}),
    ({f"a/{M}": 'project = "p"'}, "a", {"project": "p", "project_src": "marker"}),
    ({f"a/{M}": 'workspace = "w"'}, "a/b/c", {"workspace": "w"}),
    ({f"a/{M}": 'project = "p"', f"a/b/{M}": 'workspace = "w"'}, "a/b", {"workspace": "w"}),
    ({M: 'project = "p"'}, "a/b", {"project": "p", "project_src": "marker"}),
    # Only exclusions: transparent for routing.
    (
        {f"a/{M}": 'project = "p"', f"a/b/{M}": '[capture]\nignore_paths = ["x"]'},
        "a/b",
        {"project": "p", "project_src": "marker"},
    ),
    ({f"a/{M}": 'project = "p"', f"a/b/{M}": ""}, "a/b", {"project": "p", "project_src": "marker"}),
    ({f"a/{M}": 'drop_subagent_captures = "yes"'}, "a", {"drop_subagent": "1"}),
    # A flag that is off decides, and sends nothing.
    ({f"{M}": 'project = "p"', f"a/{M}": "drop_subagent_captures = false"}, "a", {}),
    ({f"a/{M}": "[recall]\ndefault_global = true"}, "a", {"default_global": "1"}),
    (
        {f"a/{M}": "[briefing]\ninject_on_session_start = 1\nmax_chars = 900"},
        "a",
        {"briefing": "1", "briefing_budget": "900"},
    ),
    ({f"a/{M}": 'identity = "git@h.org:A/B.git"'}, "a", {"identity": "h.org/a/b", "identity_src": "explicit"}),
    ({f"a/{M}": 'identity = "our shop"'}, "a", {"identity": "our shop", "identity_src": "explicit"}),
    ({f"a/{M}": 'aliases = ["old"]\nidentity_style = "path"'}, "a", {"aliases": '["old"]', "identity_style": "path"}),
    # The walk goes through a checkout up to home.
    ({M: 'project = "p"', "a/.git/HEAD": ""}, "a", {"project": "p", "project_src": "marker", "repo_root": "a"}),
    (
        {f"a/{M}": 'project_strategy = "repo_root"', "a/.git/HEAD": ""},
        "a/b",
        {"project_strategy": "repo-root", "project": "a", "project_src": "repo-root", "repo_root": "a"},
    ),
    (
        {f"a/{M}": 'project_strategy = "repo-root"\nproject = "p"', "a/.git/HEAD": ""},
        "a",
        {"project_strategy": "repo-root", "project": "p", "project_src": "marker", "repo_root": "a"},
    ),
    ({f"a/{M}": 'project_strategy = "repo-root"'}, "a", {"project_strategy": "repo-root"}),
]


@pytest.mark.parametrize(("files", "cwd", "expected"), INSIDE)
def test_markers_below_home_route(own_home, files, cwd, expected):
    lay(own_home, files)
    (own_home / cwd).mkdir(parents=True, exist_ok=True)
    found = query(look(str(own_home / cwd), str(own_home)))
    if "repo_root" in expected:
        expected = {**expected, "repo_root": str(own_home / expected["repo_root"])}
    assert found == {"cwd": str(own_home / cwd), **expected}


OUTSIDE = [
    ({f"{M}": 'project = "p"'}, "a", []),
    ({f"a/{M}": 'project = "p"'}, "a", ["a"]),
    ({f"{M}": 'project = "p"', f"a/{M}": "", "a/.git/HEAD": ""}, "a/b", ["a"]),
    ({f"{M}": 'project = "p"', "a/.git/HEAD": ""}, "a/b", []),
]


@pytest.mark.parametrize(("files", "cwd", "expected"), OUTSIDE)
def test_outside_home_the_walk_ends_at_the_checkout(own_home, tmp_path, files, cwd, expected):
    lay(tmp_path, files)
    (tmp_path / cwd).mkdir(parents=True, exist_ok=True)
    found = look(str(tmp_path / cwd), str(own_home))
    assert [os.path.dirname(path) for path, _ in found.markers] == [str(tmp_path / folder) for folder in expected]


def test_without_a_home_the_walk_goes_to_the_root_of_the_disk(tmp_path):
    lay(tmp_path, {M: 'project = "p"', "a/.git/HEAD": ""})
    assert query(look(str(tmp_path / "a"), None))["project"] == "p"


def test_markers_can_be_left_out(own_home, project):
    (project / M).write_text('project = "p"')
    assert look(str(project), str(own_home), ignore_marker=True).markers == ()


def test_the_installations_strategy_holds_where_no_marker_has_one(repository, own_home):
    here = look(str(repository), str(own_home))
    assert query(here, "repo_root") == {
        "cwd": str(repository),
        "project": "shop",
        "project_src": "repo-root",
        "project_strategy": "repo-root",
        "identity": "github.com/acme/shop",
        "identity_src": "git_remote",
        "repo_root": str(repository),
    }
    (repository / M).write_text('project_strategy = "basename"')
    assert "project" not in query(look(str(repository), str(own_home)), "repo-root")


@pytest.mark.parametrize("content", [b"x" * 65_537, None])
def test_a_marker_that_cannot_be_read_is_an_error_when_routing(own_home, project, content):
    file = project / M
    file.mkdir() if content is None else file.write_bytes(content)
    with pytest.raises(MarkerError, match="cannot be read or is larger than 64 KiB"):
        query(look(str(project), str(own_home)))
