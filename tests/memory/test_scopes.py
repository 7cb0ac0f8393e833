"""Which project a call means: what is said, known or guessed, and what no guess may decide."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from ai_memory.errors import NotFoundError, ScopeUnresolvedError
from ai_memory.memory.scopes import Who
from ai_memory.model.scope import BadNameError

ATLAS = {"cwd": "/srv/atlas"}
ONE, TWO, THREE = (str(uuid.UUID(int=number)) for number in (1, 2, 3))


def find(world, workspace="", project="", **who):
    found = world.memory.scopes.find(workspace, project, Who(**who))
    return found.project.label, found.by


def sure(world, workspace="", project="", *, create=False, **who):
    found = world.memory.scopes.sure(workspace, project, Who(**who), create=create)
    return found.project.label, found.by


def labels(world):
    return sorted(project.label for project in world.memory.projects.all())


@pytest.fixture
def two(world):
    """Claude Code works in shop and Codex in atlas, where somebody asked for something last."""
    world.works(ONE)
    world.works(TWO, agent="codex", **ATLAS)
    return world


def test_names_are_taken_at_their_word(two):
    assert find(two, "default", "shop", session=TWO) == ("default/shop", "explicit")
    assert sure(two, project="ATLAS") == ("default/atlas", "explicit")


@pytest.mark.parametrize("ask", [find, sure])
def test_a_name_that_nothing_has_is_refused_with_what_there_is_and_creates_nothing(two, ask):
    for names in (("default", "sohp"), ("", "sohp"), ("elsewhere", "shop"), ("elsewhere", "")):
        with pytest.raises(NotFoundError, match="default/atlas, default/shop"):
            ask(two, *names, session=ONE)
    assert labels(two) == ["default/atlas", "default/shop"]


@pytest.mark.parametrize("ask", [find, sure])
def test_a_name_in_two_workspaces_is_never_chosen_between(two, ask):
    two.memory.projects.create("work", "shop")
    with pytest.raises(NotFoundError, match=r"several projects are called shop.*default/shop, work/shop"):
        ask(two, project="shop")
    assert ask(two, "work", "shop") == ("work/shop", "explicit")


@pytest.mark.parametrize("ask", [find, sure])
def test_a_workspace_alone_is_not_a_project(two, ask):
    with pytest.raises(ScopeUnresolvedError, match="name the project, too"):
        ask(two, "default")


def test_interleaved_sessions_never_cross(two):
    for _ in range(3):
        assert sure(two, session=ONE) == ("default/shop", "session")
        assert sure(two, session=TWO) == ("default/atlas", "session")
        two.says(ONE, "user-prompt", prompt="And now?")


def test_a_session_that_moved_on_is_where_it_is_now(two):
    two.works(ONE, prompt="Look at the other one.", **ATLAS)
    assert sure(two, session=ONE) == ("default/atlas", "session")


def test_a_directory_says_the_project_that_is_known_there(two):
    assert sure(two, routing={"cwd": "/srv/atlas/src"}) == ("default/atlas", "path")
    with pytest.raises(ScopeUnresolvedError):
        sure(two, routing={"cwd": "/srv/elsewhere"})


def test_the_only_project_that_an_agent_is_at_work_in_is_meant(two):
    assert sure(two, agent="codex") == ("default/atlas", "client")
    two.works(THREE, agent="codex")
    assert find(two, agent="codex") == ("default/shop", "last-active")
    with pytest.raises(ScopeUnresolvedError, match=r"nothing was written.*default/atlas, default/shop"):
        sure(two, agent="codex")


def test_a_session_that_nobody_knows_is_not_guessed_for_a_write(two):
    with pytest.raises(ScopeUnresolvedError, match="default/atlas, default/shop"):
        sure(two, agent="codex", session="never heard of")
    assert find(two, agent="codex", session="never heard of") == ("default/atlas", "last-active")


def test_the_late_tail_of_a_finished_turn_does_not_take_the_guess_back(two):
    two.says(ONE, "post-tool-use", tool_name="Bash", tool_input={"command": "make"}, tool_response="done")
    assert find(two) == ("default/atlas", "last-active")


def test_a_restart_forgets_nothing(two):
    two.close()
    two.open()
    assert find(two) == ("default/atlas", "last-active")
    assert sure(two, session=ONE) == ("default/shop", "session")
    assert sure(two, agent="codex") == ("default/atlas", "client")


def test_without_anybody_at_work_a_read_says_that_the_scope_is_not_known(two):
    two.passes(hours=13)
    for ask in (find, sure):
        with pytest.raises(ScopeUnresolvedError, match=r"no scope.*default/atlas, default/shop"):
            ask(two)
    assert sure(two, session=ONE) == ("default/shop", "session")


def test_an_empty_memory_says_so(world):
    with pytest.raises(ScopeUnresolvedError, match="there is none yet"):
        find(world)


def test_a_project_is_created_only_on_request_and_by_both_names(two):
    assert sure(two, "work", "new", create=True) == ("work/new", "explicit")
    for names in (("", "newer"), ("work", "")):
        with pytest.raises((NotFoundError, ScopeUnresolvedError)):
            sure(two, *names, create=True)
    for names in (("work", "_global"), ("Work", "newer"), ("work", "../newer")):
        with pytest.raises(BadNameError):
            sure(two, *names, create=True)
    assert labels(two) == ["default/atlas", "default/shop", "work/new"]


def test_a_project_that_two_create_at_once_is_one(two):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: sure(two, "work", "new", create=True), range(16)))
    assert set(found) == {("work/new", "explicit")}
    assert labels(two) == ["default/atlas", "default/shop", "work/new"]


def test_a_project_that_moved_is_found_from_its_session(two):
    project = two.memory.projects.named("default", "shop")
    two.memory.moves.rename_project(project, "till")
    assert sure(two, session=ONE) == ("default/till", "session")


def test_a_name_of_before_leads_to_the_project_also_alone(two):
    two.memory.moves.rename_project(two.memory.projects.named("default", "shop"), "till")
    assert find(two, project="shop") == ("default/till", "explicit")


@pytest.mark.parametrize("ask", [find, sure])
def test_a_users_repository_is_meant_by_nobody_who_says_its_name_alone(two, ask):
    two.memory.memories.store("ana", "shop", "Saffron.")
    two.memory.memories.store("ana", "only-anas", "Saffron.")
    assert ask(two, project="shop") == ("default/shop", "explicit")
    with pytest.raises(NotFoundError, match=r"no project only-anas \(known: default/atlas, default/shop\)"):
        ask(two, project="only-anas")
    assert ask(two, "user-ana", "only-anas") == ("user-ana/only-anas", "explicit")
