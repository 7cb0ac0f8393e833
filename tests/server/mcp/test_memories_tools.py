"""The memories of users: what the four tools answer, and whose they are."""

import json
import re
import threading
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ai_memory.errors import AiMemoryError, BadRequestError, NotFoundError, TooLargeError
from ai_memory.memory.memories import Memories
from ai_memory.memory.pages import Fields, PageDeletedError, Writer
from ai_memory.memory.scopes import Who
from ai_memory.model.handoff import FENCE_END, FENCE_START
from ai_memory.model.ids import new_id
from ai_memory.model.scope import Routing
from ai_memory.server.mcp.schema import schema_of
from ai_memory.server.mcp.tool import Caller, plain
from ai_memory.server.mcp.toolsets import MEMORIES

TOOLS = {tool.name: tool for tool in MEMORIES.tools}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class User:
    """A user who calls the tools."""

    def __init__(self, world, name):
        self.world, self.name = world, name

    def call(self, tool, **arguments):
        self.world.passes(seconds=1)
        takes = TOOLS[tool].takes.model_validate(json.loads(json.dumps(arguments)))
        caller = Caller(self.world.memory, Who(user=self.name), lambda *_: None)
        return json.loads(json.dumps(TOOLS[tool].run(caller, takes)))

    def store(self, content="The port is 8080.", repo_id="shop", **more):
        return self.call("store_memory", repo_id=repo_id, content=content, **more)

    def retrieve(self, repo_id="shop", **more):
        return self.call("retrieve_memory", repo_id=repo_id, **more)

    def delete(self, repo_id="shop", **more):
        return self.call("delete_memory", repo_id=repo_id, **more)["deleted"]

    def list(self, **more):
        return self.call("list_memories", **more)

    def contents(self, repo_id="shop", **more):
        return [bare(each) for each in self.retrieve(repo_id, **more)["memories"]]


def bare(memory):
    return memory["content"].removeprefix(f"{FENCE_START}\n").removesuffix(f"\n{FENCE_END}")


@pytest.fixture
def world(desk):
    return desk.world


@pytest.fixture
def ana(world):
    return User(world, "ana")


@pytest.fixture
def bob(world):
    return User(world, "bob")


def test_what_is_stored_comes_back_whole(ana):
    stored = ana.store(
        "Deploys go through `bin/ship`.\n", key="deploy", tags=["ops", "#ci", "ops"], metadata={"by": {"n": [1, None]}}
    )
    memory_id = stored.pop("id")
    assert UUID.fullmatch(memory_id)
    assert stored == {
        "repo_id": "shop",
        "key": "deploy",
        "created_at": "2026-11-20T10:00:01Z",
        "updated_at": "2026-11-20T10:00:01Z",
        "status": "stored",
    }
    assert ana.retrieve() == {
        "repo_id": "shop",
        "count": 1,
        "memories": [
            {
                "id": memory_id,
                "key": "deploy",
                "content": f"{FENCE_START}\nDeploys go through `bin/ship`.\n\n{FENCE_END}",
                "tags": ["ops", "ci"],
                "metadata": {"by": {"n": [1, None]}},
                "created_at": "2026-11-20T10:00:01Z",
                "updated_at": "2026-11-20T10:00:01Z",
            }
        ],
    }


def test_a_key_is_written_over_and_keeps_its_id_and_its_beginning(ana):
    first = ana.store("Port 8080.", key="port", tags=["net"], metadata={"sure": False})
    second = ana.store("Port 9090.", key="port")
    assert second == {**first, "updated_at": "2026-11-20T10:00:02Z", "status": "updated"}
    (memory,) = ana.retrieve()["memories"]
    assert (bare(memory), memory["tags"], memory["metadata"]) == ("Port 9090.", [], {})
    assert ana.contents("shop", query="8080") == []


def test_without_a_key_each_store_is_a_memory_of_its_own(ana):
    ids = {ana.store("The same.")["id"] for _ in range(3)}
    assert len(ids) == 3
    assert ana.contents() == ["The same."] * 3
    assert ana.retrieve()["memories"][0]["key"] is None


def test_parallel_stores_of_one_key_make_one_memory(ana):
    said = []
    ana.store("Begin.", repo_id="other")
    threads = [threading.Thread(target=lambda n=n: said.append(ana.store(f"Text {n}.", key="k"))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(each["status"] for each in said) == ["stored"] + ["updated"] * 7
    assert len({each["id"] for each in said}) == 1
    assert ana.retrieve()["count"] == 1
    assert ana.list()["repositories"] == [{"repo_id": "other", "count": 1}, {"repo_id": "shop", "count": 1}]


def test_users_of_one_repository_never_meet(ana, bob):
    one = ana.store("Ana knows saffron.", key="spice", tags=["secret-of-ana"])
    two = bob.store("Bob knows crocus.", key="spice")
    assert one["id"] != two["id"]
    assert ana.contents() == ["Ana knows saffron."]
    assert bob.contents() == ["Bob knows crocus."]
    for question in (
        {"query": "saffron"},
        {"tags": ["secret-of-ana"]},
        {"query": "Ana"},
        {"query": "tag:secret-of-ana"},
    ):
        assert bob.contents(**question) == []
    assert bob.contents(key="spice") == ["Bob knows crocus."]
    assert bob.delete(id=one["id"]) == 0
    assert bob.list() == {"count": 1, "total": 1, "repositories": [{"repo_id": "shop", "count": 1}]}
    assert bob.delete(key="spice") == 1
    assert (bob.list(repo_id="shop")["total"], ana.list(repo_id="shop")["total"]) == (0, 1)
    assert ana.contents() == ["Ana knows saffron."]


def test_repositories_of_one_user_do_not_mix(ana):
    one = ana.store("Of the shop.", key="k")
    ana.store("Of the bank.", repo_id="bank", key="k")
    assert (ana.contents("shop"), ana.contents("bank")) == (["Of the shop."], ["Of the bank."])
    assert ana.delete("bank", id=one["id"]) == 0
    assert ana.delete("bank", key="k") == 1
    assert (ana.contents("shop"), ana.contents("bank")) == (["Of the shop."], [])


def test_memories_are_found_by_words_tags_and_key_the_newest_first_without_words(ana):
    ana.store("Saffron grows in autumn.", key="a", tags=["plant", "spice"])
    ana.store("Crocus gives saffron, saffron, saffron.", tags=["plant"])
    ana.store("Nothing of that.")
    assert ana.contents() == [
        "Nothing of that.",
        "Crocus gives saffron, saffron, saffron.",
        "Saffron grows in autumn.",
    ]
    assert sorted(ana.contents(query="what of saffron?")) == sorted(ana.contents()[1:])
    assert ana.contents(query="saffron", limit=1) == ["Crocus gives saffron, saffron, saffron."]
    assert ana.contents(tags=["plant", "SPICE"]) == ["Saffron grows in autumn."]
    assert ana.contents(key="a", query="saffron") == ["Saffron grows in autumn."]
    assert ana.contents(key="a", query="crocus") == []
    assert ana.contents(limit=2) == ana.contents()[:2]


def test_of_one_second_the_last_stored_comes_first(ana, world):
    for n in range(5):
        ana.store(f"Text {n}.", key=f"k{n}")
        world.passes(seconds=-1)
    assert ana.contents() == [f"Text {n}." for n in (4, 3, 2, 1, 0)]


def test_a_listing_goes_on_where_it_ended(ana):
    for n in range(5):
        ana.store(f"Text {n}.")
    pages = [ana.list(repo_id="shop", limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [[bare(each) for each in page["memories"]] for page in pages] == [
        ["Text 4.", "Text 3."],
        ["Text 2.", "Text 1."],
        ["Text 0."],
        [],
    ]
    assert [(page["count"], page["total"]) for page in pages] == [(2, 5), (2, 5), (1, 5), (0, 5)]
    for repo in ("a", "b"):
        ana.store(repo_id=repo)
    assert ana.list(limit=2, offset=1) == {
        "count": 2,
        "total": 3,
        "repositories": [{"repo_id": "b", "count": 1}, {"repo_id": "shop", "count": 5}],
    }


def test_a_limit_beyond_a_hundred_gives_a_hundred(ana, world):
    project = world.memory.projects.ensure_of_user("ana", "shop")
    for _ in range(101):
        path = f"memories/{new_id(world.now)}.md"
        (folder := world.memory.stores.wiki.folder(project) / "memories").mkdir(exist_ok=True)
        (folder.parent / path).write_text("By hand.")
    world.memory.outside.reconcile(lambda *_: None)
    assert (ana.retrieve(limit=1000)["count"], ana.list(repo_id="shop")["total"]) == (100, 101)


def test_an_empty_answer_says_what_there_is(ana):
    assert ana.retrieve() == {
        "repo_id": "shop",
        "count": 0,
        "memories": [],
        "note": "you have no memories of a repository shop (repositories with memories: none)",
    }
    ana.store(repo_id="bank")
    assert ana.list(repo_id="shop")["note"].endswith("(repositories with memories: bank)")
    assert ana.retrieve("bank", query="zebra")["note"] == "none of its 1 memories fits"


def test_what_is_deleted_is_gone_until_somebody_stores_it_anew(ana, world):
    stored = ana.store("Port 8080.", key="port")
    assert [ana.delete(id=stored["id"]), ana.delete(id=stored["id"]), ana.delete(key="port")] == [1, 0, 0]
    assert (ana.contents(), ana.contents(query="8080"), ana.list()["total"]) == ([], [], 0)
    world.close()
    world.open()
    assert ana.contents() == []
    again = ana.store("Port 9090.", key="port")
    assert (again["id"], again["status"], again["created_at"]) == (stored["id"], "stored", again["updated_at"])
    assert ana.contents() == ["Port 9090."]


def test_what_was_purged_does_not_come_back(ana, world):
    stored = ana.store("Port 8080.", key="port")
    (project,) = world.memory.projects.of_user("ana")
    world.memory.purge.page(project, f"memories/{stored['id']}.md", Writer(user="owner"), confirm=True)
    with pytest.raises(PageDeletedError, match="was purged"):
        ana.store("Port 9090.", key="port")


def test_a_restart_and_a_new_index_keep_everything(ana, bob, world):
    ana.store("Saffron.", key="é/Ü", tags=["x"], metadata={"a": "ß"})
    bob.store("Crocus.", repo_id="Ünï/cödé")
    before = [ana.retrieve(), ana.list(), bob.retrieve("Ünï/cödé"), bob.list()]
    world.close()
    (world.data / "db" / "index.db").unlink()
    world.open()
    assert [ana.retrieve(), ana.list(), bob.retrieve("Ünï/cödé"), bob.list()] == before
    assert ana.store("Saffron!", key="é/Ü")["status"] == "updated"


def test_a_memory_is_a_page_that_its_user_wrote(ana, world):
    stored = ana.store("# Ports\n\nThe port is 8080.", key="port")
    (project,) = world.memory.projects.of_user("ana")
    assert project.label == "user-ana/shop"
    path = f"memories/{stored['id']}.md"
    view = world.memory.pages.read(project, path)
    assert (view.kind, view.title, view.body) == ("memory", "port", "# Ports\n\nThe port is 8080.")
    assert view.front == {
        "title": "port",
        "kind": "memory",
        "type": "Memory",
        "id": stored["id"],
        "key": "port",
        "created_at": "2026-11-20T10:00:01Z",
    }
    (version,) = world.memory.pages.history(project, path)
    assert (version.author, version.subject) == ("ana", f"write-page user-ana/shop: {path} — port")
    assert [hit.path for hit in world.memory.recall.search("8080", [project])] == [path]


def test_what_a_person_adds_to_the_page_stays(ana, world):
    stored = ana.store("Port 8080.", key="port")
    (project,) = world.memory.projects.of_user("ana")
    path = f"memories/{stored['id']}.md"
    world.memory.pages.write(project, path, "Port 8081.", Fields(pinned=True), Writer(user="owner"))
    assert ana.contents() == ["Port 8081."]
    ana.store("Port 9090.", key="port")
    assert world.memory.pages.read(project, path).pinned is True


def test_other_pages_of_the_project_are_no_memories(ana, world):
    ana.store("Mine.")
    (project,) = world.memory.projects.of_user("ana")
    for path in ("notes/a.md", "memories/by-hand.md", "memories/deep/a.md"):
        world.memory.pages.write(project, path, "Mine not.", Fields(), Writer(user="owner"))
    assert (ana.contents(), ana.contents(query="mine"), ana.list()["total"]) == (["Mine."], ["Mine."], 1)
    assert ana.list(repo_id="shop")["total"] == 1
    for wanted in ("by-hand", "../notes/a", "deep/a", "/etc/passwd"):
        assert ana.delete(id=wanted) == 0


@pytest.mark.parametrize("workspace", ["user-ana", "USER-ANA"])
def test_a_workspace_that_a_person_called_so_is_not_the_users(ana, world, workspace):
    theirs = world.memory.projects.ensure(Routing(workspace=workspace.lower(), project="shop", cwd="/srv/x")).project
    world.memory.pages.write(theirs, f"memories/{new_id(world.now)}.md", "Theirs.", Fields(), Writer(user="owner"))
    assert ana.contents() == []
    ana.store("Mine.")
    assert ana.contents() == ["Mine."]
    (project,) = world.memory.projects.of_user("ana")
    assert re.fullmatch(r"user-ana-[0-9a-f]{12}/shop", project.label)


def test_new_names_do_not_take_a_users_memories_away(ana, world):
    ana.store("Mine.", key="k")
    (project,) = world.memory.projects.of_user("ana")
    world.memory.moves.rename_project(project, "boutique", Writer(user="owner"))
    world.memory.moves.rename_workspace("user-ana", "people", Writer(user="owner"))
    assert ana.contents() == ["Mine."]
    assert ana.store("Mine, too.", key="k")["status"] == "updated"
    world.close()
    world.open()
    assert ana.contents() == ["Mine, too."]
    assert [each.label for each in world.memory.projects.of_user("ana")] == ["people/boutique"]


def test_what_the_owner_moves_away_is_the_users_no_more(ana, world):
    ana.store("Mine.", key="k")
    (project,) = world.memory.projects.of_user("ana")
    world.memory.moves.move_project(project, "attic", Writer(user="owner"), confirm=True)
    assert (ana.contents(), ana.list()["total"], ana.delete(key="k")) == ([], 0, 0)
    assert ana.store("Mine anew.", key="k")["status"] == "stored"
    assert ana.contents() == ["Mine anew."]


def test_a_project_that_the_owner_moves_in_is_no_memory(ana, world):
    ana.store("Mine.")
    theirs = world.memory.projects.ensure(Routing(cwd="/srv/atlas", repo_root="/srv/atlas")).project
    world.memory.pages.write(theirs, f"memories/{new_id(world.now)}.md", "Theirs.", Fields(), Writer(user="owner"))
    world.memory.moves.move_project(theirs, "user-ana", Writer(user="owner"), confirm=True)
    assert (ana.contents("atlas"), ana.list()["total"]) == ([], 1)


def test_of_two_projects_of_one_repository_the_oldest_counts(ana, world):
    """Two machines began the same one, and their wikis were merged."""
    ana.store("Mine.", key="k")
    (project,) = world.memory.projects.of_user("ana")
    world.passes(minutes=1)
    other = world.memory.projects.create(project.workspace, "shop-of-another-machine")
    manifest = world.memory.projects.folder(other) / "_meta.md"
    manifest.write_text(manifest.read_text().replace("type: Project\n", "type: Project\nrepo: shop\n"))
    world.memory.projects.reload()
    world.memory.pages.write(other, f"memories/{new_id(world.now)}.md", "Theirs.", Fields(), Writer(user="ana"))
    assert ana.contents() == ["Mine."]
    assert ana.list()["repositories"] == [{"repo_id": "shop", "count": 1}]
    assert ana.store("Mine, too.", key="k")["status"] == "updated"


HOSTILE_NAMES = [
    "Ana",
    "ANA",
    "ana ",
    "a na",
    "../ana",
    "ana/..",
    "user-ana",
    "_global",
    "é",
    "e\u0301",
    "0",
    "true",
    "null",
    "-",
    "~",
]


def test_any_text_is_a_user_and_a_repository_of_its_own(world):
    for user in HOSTILE_NAMES:
        for repo in HOSTILE_NAMES[::3]:
            User(world, user).store(f"{user}|{repo}", repo_id=repo)
    world.close()
    world.open()
    for user in HOSTILE_NAMES:
        for repo in HOSTILE_NAMES[::3]:
            assert User(world, user).contents(repo) == [f"{user}|{repo}"]
    labels = [each.label.casefold() for each in world.memory.projects.all()]
    assert len(labels) == len(set(labels)) == len(HOSTILE_NAMES) * len(HOSTILE_NAMES[::3])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    one=st.tuples(st.text(min_size=1), st.text(min_size=1)), other=st.tuples(st.text(min_size=1), st.text(min_size=1))
)
def test_two_places_are_never_one_project(world, one, other):
    places = []
    for user, repo in (one, other):
        try:
            world.memory.memories.find(user, repo)
        except AiMemoryError:
            return
        places.append(world.memory.projects.ensure_of_user(user, repo))
    assert (places[0] == places[1]) == (one == other)
    world.memory.projects.reload()
    assert [world.memory.projects.get(each.id) for each in places] == places


WRONG = [
    ("store_memory", {"content": "x"}, "repo_id"),
    ("store_memory", {"repo_id": "shop"}, "content"),
    ("store_memory", {"repo_id": "shop", "content": ""}, "content"),
    ("store_memory", {"repo_id": 7, "content": "x"}, "repo_id"),
    ("store_memory", {"repo_id": "shop", "content": ["x"]}, "content"),
    ("store_memory", {"repo_id": "shop", "content": "x", "tags": "a"}, "tags"),
    ("store_memory", {"repo_id": "shop", "content": "x", "tags": [1]}, "tags"),
    ("store_memory", {"repo_id": "shop", "content": "x", "metadata": "{}"}, "metadata"),
    ("store_memory", {"repo_id": "shop", "content": "x", "user": "bob"}, "user"),
    ("store_memory", {"repo_id": "shop", "content": "\ud800"}, "content"),
    ("retrieve_memory", {}, "repo_id"),
    ("retrieve_memory", {"repo_id": "shop", "limit": 0}, "limit"),
    ("retrieve_memory", {"repo_id": "shop", "limit": "5"}, "limit"),
    ("retrieve_memory", {"repo_id": "shop", "user_key": "bob"}, "user_key"),
    ("list_memories", {"offset": -1}, "offset"),
    ("delete_memory", {"key": "x"}, "repo_id"),
]


@pytest.mark.parametrize(("tool", "arguments", "named"), WRONG)
def test_a_wrong_argument_is_named_and_nothing_is_made(ana, desk, tool, arguments, named):
    before = desk.everything()
    with pytest.raises(ValidationError, match=named):
        ana.call(tool, **arguments)
    assert desk.everything() == before


REFUSED = [
    ({"content": " \n"}, BadRequestError, "content is empty"),
    ({"content": "x" * (64 * 1024 + 1)}, TooLargeError, "content is longer than 64 KiB"),
    ({"content": "é" * (32 * 1024 + 1)}, TooLargeError, "content is longer than 64 KiB"),
    ({"repo_id": "   "}, BadRequestError, "repo_id is empty"),
    ({"repo_id": "x" * 501}, TooLargeError, "repo_id is longer than 500 characters"),
    ({"repo_id": "a\x1b[2Jb"}, BadRequestError, "repo_id holds signs that cannot be seen"),
    ({"repo_id": "ghp_" + "a1B2" * 9}, BadRequestError, "repo_id holds what looks like a secret"),
    ({"key": "x" * 501}, TooLargeError, "key is longer than 500"),
    ({"key": "a\u202eb"}, BadRequestError, "key holds signs that cannot be seen"),
    ({"key": "a\nb"}, BadRequestError, "key holds signs that cannot be seen"),
    ({"repo_id": "a\u2028b"}, BadRequestError, "repo_id holds signs that cannot be seen"),
    ({"tags": ["x"] * 51}, TooLargeError, "there are 51 tags, more than 50"),
    ({"tags": ["x" * 101]}, BadRequestError, "a tag is empty or longer than 100"),
    ({"tags": [" "]}, BadRequestError, "a tag is empty"),
    ({"metadata": {"a": "x" * (16 * 1024)}}, TooLargeError, "metadata is longer than 16 KiB"),
    ({"metadata": {"a": float("nan")}}, BadRequestError, "metadata cannot be written as JSON"),
    (
        {"metadata": {"a": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}},
        BadRequestError,
        "more than 32",
    ),
    ({"metadata": {"a": "\ud800"}}, BadRequestError, "metadata cannot be written as JSON"),
]


@pytest.mark.parametrize(("arguments", "error", "said"), REFUSED)
def test_what_cannot_be_stored_is_said_and_nothing_is_made(ana, desk, arguments, error, said):
    before = desk.everything()
    with pytest.raises(error, match=said):
        ana.store(**{"repo_id": "shop", **arguments})
    assert desk.everything() == before


@pytest.mark.parametrize("arguments", [{}, {"id": "a", "key": "b"}])
def test_a_delete_names_one_memory(ana, arguments):
    with pytest.raises(BadRequestError, match="either its id or its key"):
        ana.delete(**arguments)


@pytest.mark.parametrize("call", [User.store, User.retrieve, User.list, lambda user: user.delete(key="x")])
def test_without_a_user_there_are_no_memories(world, desk, call):
    desk.write("notes/a.md")
    before = desk.everything()
    with pytest.raises(BadRequestError, match="the token of a user"):
        call(User(world, ""))
    assert desk.everything() == before


def test_questions_make_nothing(ana, desk):
    before = desk.everything()
    ana.retrieve()
    ana.list(repo_id="shop")
    assert ana.delete(key="x") == 0
    assert desk.everything() == before


def test_secrets_are_taken_out_before_anything_is_kept(ana, world):
    token = "ghp_" + "a1B2" * 9
    ana.store(f"The token is {token}.", tags=["x"], metadata={"t": token, "password": "hunter2-hunter2"})
    (memory,) = ana.retrieve()["memories"]
    assert bare(memory) == "The token is [REDACTED:github-token]."
    assert memory["metadata"] == {"t": "[REDACTED:github-token]", "password": "[REDACTED:password]"}
    kept = b"".join(file.read_bytes() for file in world.data.rglob("*") if file.is_file())
    assert token.encode() not in kept


def test_hostile_content_comes_back_fenced_and_can_be_stored_again(ana, hostile):
    text, assert_tamed = hostile
    ana.store(f"---\ntitle: x\n---\n{text}", key="k", tags=[text[:60]], metadata={"note": text})
    answer = plain(ana.retrieve())
    assert_tamed(answer)
    (memory,) = answer["memories"]
    ana.store(memory["content"], key="k")
    assert bare(plain(ana.retrieve())["memories"][0]) == bare(memory)


@pytest.mark.parametrize(
    "content",
    ["---\nkey: other\nid: x\n---\nbody", "\n\n  text  \n\n", "a\r\nb\r\n", "<<<<<<< x\n=======\n>>>>>>> y\n", "# T"],
)
def test_content_is_kept_to_the_letter(ana, world, content):
    ana.store(content, key="k")
    assert [(each.key, each.content) for each in world.memory.memories.find("ana", "shop")] == [("k", content)]


@given(text=st.text(min_size=1).filter(str.strip))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_metadata_is_any_json(world, text):
    asked = {text: [text, {"x": text}], "n": [1, 2.5, True, None]}
    memories: Memories = world.memory.memories
    try:
        stored, _ = memories.store("ana", "shop", "x", key="k", metadata=asked)
    except BadRequestError:
        return
    assert "REDACTED" in json.dumps(stored.metadata) or stored.metadata == asked


@pytest.mark.parametrize("word", ["repo", "repository", "repository_id", "repoId"])
def test_clients_of_other_servers_may_keep_their_words(ana, word):
    stored = ana.call("store_memory", **{word: "shop", "text": "Port 8080."})
    assert ana.call("retrieve_memory", **{word: "shop", "q": "port", "top_k": 1})["count"] == 1
    assert ana.call("delete_memory", **{word: "shop", "memory_id": stored["id"]}) == {"deleted": 1}


def test_the_schemas_need_nothing_that_a_vendor_refuses():
    for tool in MEMORIES.tools:
        assert not re.search(r"anyOf|oneOf|allOf|\$ref", json.dumps(schema_of(tool.takes)))
        assert {"repo_id"} & set(schema_of(tool.takes)["properties"])
    assert len(MEMORIES.instructions) <= 2000
    assert MEMORIES.of_user


def test_time_goes_on_between_store_and_update(ana, world):
    ana.store("One.", key="k")
    world.now += timedelta(days=3)
    ana.store("Two.", key="k")
    (memory,) = ana.retrieve()["memories"]
    assert (memory["created_at"], memory["updated_at"]) == ("2026-11-20T10:00:01Z", "2026-11-23T10:00:02Z")


def test_a_page_that_is_missing_on_disk_is_left_out(ana, world):
    stored = ana.store("Gone.", key="a")
    ana.store("There.", key="b")
    (project,) = world.memory.projects.of_user("ana")
    (world.memory.stores.wiki.folder(project) / f"memories/{stored['id']}.md").unlink()
    assert ana.contents() == ["There."]
    with pytest.raises(NotFoundError):
        world.memory.pages.read(project, f"memories/{stored['id']}.md")


def test_memories_are_moved_to_nobody_else(world):
    User(world, "ana").store()
    User(world, "bob").store(repo_id="other")
    theirs = world.memory.projects.named("user-ana", "shop")
    with pytest.raises(BadRequestError, match="memories of another user"):
        world.memory.moves.move_project(theirs, "user-bob", confirm=True)
    assert [each["repo_id"] for each in User(world, "bob").list()["repositories"]] == ["other"]
    assert User(world, "ana").contents() == ["The port is 8080."]


def test_a_secret_in_a_tag_is_a_tag_without_it(world):
    ana = User(world, "ana")
    ana.store(tags=["ghp_" + "a1B2" * 9, "port"])
    (memory,) = ana.retrieve()["memories"]
    assert memory["tags"] == ["[REDACTED:github-token]", "port"]


def test_more_than_an_answer_has_room_for_is_counted(world):
    ana = User(world, "ana")
    for number in range(9):
        ana.store("x" * 64_000, key=str(number))
    listed = ana.list(repo_id="shop")
    assert (listed["count"], listed["total"], listed["left_out"], len(listed["memories"])) == (7, 9, 2, 7)
