"""Who may ask `/api/v1`: tokens and cookies, pages of other origins, a base path; and who `/auth/me` says one is."""

import base64
import json

import pytest

from ai_memory.config import load_settings
from ai_memory.errors import ConfigError
from tests.own_server import served
from tests.server.api.api_world import Client

TOKEN = "the-token-of-who-runs-the-server"
FRIEND = "https://notes.example.org"
FOE = "https://foe.example.org"
LISTS, SEARCH, ME = "/api/v1/workspaces", "/api/v1/search", "/auth/me"
BOTH = 'Basic realm="ai-memory", Bearer realm="ai-memory", error="invalid_token"'
BEARER = 'Bearer realm="ai-memory", error="invalid_token"'
BODY = {"Content-Type": "application/json"}
REQUIRED = {"error": "auth required"}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def basic(token):
    return {"Authorization": "Basic " + base64.b64encode(f"anybody:{token}".encode()).decode()}


def cookie(client, token):
    form = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": ""}
    answer = client.plain("POST", "/web/sign-in", form, f"token={token}")
    assert answer.status == 303
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A client without any token of a server that has one, and a user beside who runs it."""
    with served(tmp_path_factory, auth__bearer_token=TOKEN, cors_allow_origins=[FRIEND]) as own:
        client = Client(own, **bearer(TOKEN))
        client.headers = {}
        yield client


@pytest.fixture
def of_another(guarded):
    """The token of a user who is not who runs the server."""
    return guarded.own.memory.accounts.issue("bob", "test")[0]


@pytest.fixture(scope="module")
def open_here(tmp_path_factory):
    with served(tmp_path_factory, cors_allow_origins=[FRIEND], base_path="/team/memory") as own:
        yield Client(own)


# Tokens


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("way", [bearer, basic])
def test_the_token_opens_what_reads(guarded, method, way):
    assert guarded.plain(method, LISTS, way(TOKEN)).status == 200


@pytest.mark.parametrize("way", [bearer, basic])
def test_the_token_opens_a_search_by_post(guarded, way):
    assert guarded.post("/search", {"q": "x"}, headers=way(TOKEN)).json == []


def test_the_cookie_of_a_browser_that_signed_in_opens_what_reads(guarded):
    signed_in = cookie(guarded, TOKEN)
    assert guarded.get("/workspaces", headers=signed_in).json == []
    assert guarded.post("/search", {"q": "x"}, headers=signed_in).json == []
    assert guarded.plain("HEAD", LISTS, signed_in).status == 200


@pytest.mark.parametrize("headers", [{}, {"Cookie": "ai_memory_session=x"}], ids=["nothing", "a-forgotten-cookie"])
@pytest.mark.parametrize("path", ["/workspaces", "/search", "/openapi.json", "/events", "/graph"])
def test_without_the_token_nothing_is_told(guarded, path, headers):
    answer = guarded.get(path, 401, headers)
    # A browser whose cookie is forgotten shows no dialog over its page.
    assert (answer.text, answer.headers["WWW-Authenticate"]) == (
        "auth required\n",
        BEARER if "Cookie" in headers else BOTH,
    )
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_search_by_post_asks_for_the_token_too(guarded):
    answer = guarded.post("/search", {"q": "x"}, 401)
    assert (answer.text, answer.headers["WWW-Authenticate"]) == ("auth required\n", BOTH)


def test_other_methods_are_asked_for_the_token_by_bearer_alone(guarded):
    answer = guarded.plain("DELETE", LISTS)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, BEARER)


@pytest.mark.parametrize("said", ["Digest x", "Basic", "Basic !", f"bearer {TOKEN}x"])
def test_what_is_not_the_token_opens_nothing(guarded, said):
    assert guarded.get("/workspaces", 401, {"Authorization": said}).text == "auth required\n"


def test_a_wrong_token_fails_although_the_cookie_is_good(guarded):
    assert guarded.get("/workspaces", 401, cookie(guarded, TOKEN) | bearer("wrong")).text == "auth required\n"


def test_a_program_gets_no_page_to_sign_in_with(guarded):
    assert guarded.get("/workspaces", 401, {"Accept": "text/html"}).text == "auth required\n"


def test_the_token_of_another_user_opens_nothing(guarded, of_another):
    for way in (bearer, basic):
        assert guarded.get("/workspaces", 401, way(of_another)).text == "auth required\n"
    assert guarded.get("/workspaces", 401, cookie(guarded, of_another)).text == "auth required\n"
    assert guarded.post("/search", {"q": "x"}, 401, cookie(guarded, of_another)).text == "auth required\n"


def test_nothing_is_looked_at_after_ten_wrong_tokens_but_the_cookie_of_who_is_in(tmp_path_factory):
    with served(tmp_path_factory, auth__bearer_token=TOKEN) as own:
        client = Client(own, **bearer(TOKEN))
        signed_in = cookie(client, TOKEN)
        for _ in range(10):
            client.get("/workspaces", 401, bearer("wrong"))
        told = "that was wrong too often: wait five minutes"
        assert client.get("/workspaces", 429).text == f"{told}\n"
        assert client.post("/search", {"q": "x"}, 429).text == f"{told}\n"
        answer = client.plain("GET", ME)
        assert (answer.status, answer.json) == (429, {"error": told})
        client.headers = {}
        assert client.get("/workspaces", headers=signed_in).json == []


# Who one is


def told(name, via, *, writes):
    can = {"normal_read": True, "normal_write": writes, "admin": writes, "user_management": False}
    return {
        "username": name,
        "name": None,
        "role": name,
        "must_change_password": False,
        "via": via,
        "capabilities": can,
    }


def test_nobody_in_particular_asks_a_server_without_a_token(open_here):
    answer = open_here.plain("GET", ME)
    assert (answer.status, answer.json) == (200, told(None, "anonymous", writes=True))
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_who_has_the_token_is_root(guarded):
    assert guarded.plain("GET", ME, bearer(TOKEN)).json == told("root", "bearer", writes=True)
    assert guarded.plain("GET", ME, cookie(guarded, TOKEN)).json == told("root", "session", writes=False)


def test_whom_nobody_knows_is_asked_to_sign_in_without_a_dialog(guarded, of_another):
    for headers in (
        {},
        bearer("wrong"),
        {"Cookie": "ai_memory_session=x"},
        cookie(guarded, of_another),
        {"Accept": "text/html"},
    ):
        answer = guarded.plain("GET", ME, headers)
        assert (answer.status, answer.json, answer.headers["WWW-Authenticate"]) == (401, REQUIRED, BEARER)


def test_what_is_not_there_below_auth_is_missed_without_a_token_too(guarded):
    assert guarded.plain("GET", "/auth/login").status == 404
    assert guarded.plain("POST", ME).status == 405


# Other origins


def shared(answer):
    return {name: answer.headers[name] for name in answer.headers if name.startswith("Access-Control-")}


ALLOWED = {"Access-Control-Allow-Origin": FRIEND, "Access-Control-Allow-Credentials": "true"}
CROSS_SITE = {"Origin": FRIEND, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}


def test_a_page_of_an_allowed_origin_may_ask_first_and_remembers_the_answer(guarded):
    asks = {**CROSS_SITE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for path in (SEARCH, LISTS, "/api/v1/nothing"):
        answer = guarded.plain("OPTIONS", path, asks)
        assert answer.status == 204
        assert shared(answer) == ALLOWED | {
            "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, X-CSRF-Token",
            "Access-Control-Max-Age": "600",
        }


def test_a_page_of_an_allowed_origin_reads_answers_and_errors(guarded):
    assert shared(guarded.get("/workspaces", headers=CROSS_SITE | bearer(TOKEN))) == ALLOWED
    assert shared(guarded.post("/search", {"q": "x"}, headers=CROSS_SITE | bearer(TOKEN))) == ALLOWED
    assert shared(guarded.get("/search", 400, CROSS_SITE | bearer(TOKEN), workspace="x")) == ALLOWED
    assert shared(guarded.get("/workspaces/x/overview", 404, CROSS_SITE | bearer(TOKEN))) == ALLOWED
    assert shared(guarded.get("/workspaces", 401, CROSS_SITE)) == ALLOWED
    assert shared(guarded.plain("GET", "/api/v1/nothing", CROSS_SITE | bearer(TOKEN))) == ALLOWED
    assert shared(guarded.plain("DELETE", LISTS, CROSS_SITE | bearer(TOKEN))) == ALLOWED


@pytest.mark.parametrize(
    "origin", [FOE, f"{FRIEND}:8443", FRIEND.replace("https", "http"), f"{FRIEND}.foe.org", "null"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_page_of_another_origin_gets_nothing(guarded, origin, method):
    answer = guarded.plain(method, SEARCH, {"Origin": origin, **bearer(TOKEN), **BODY}, b"{}")
    assert (answer.status, answer.text, shared(answer)) == (403, "cross-site requests are refused\n", {})


@pytest.mark.parametrize("path", ["/api/v1", "/admin/status", "/web/", "/auth/me", "/mcp", "/hook", "/handoff"])
def test_an_allowed_origin_is_allowed_nothing_else(guarded, path):
    for method in ("GET", "POST", "OPTIONS"):
        answer = guarded.plain(method, path, {**CROSS_SITE, **bearer(TOKEN)}, b"{}")
        assert (answer.status, shared(answer)) == (403, {})


def test_an_answer_is_another_one_for_others(guarded):
    for answer in (guarded.get("/workspaces", headers=bearer(TOKEN)), guarded.get("/workspaces", 401)):
        assert answer.headers["Vary"] == "Authorization, Cookie, Origin"
        assert shared(answer) == {}


def test_all_origins_together_cannot_be_allowed(tmp_path):
    with pytest.raises(ConfigError, match="there is no \\* here"):
        load_settings(tmp_path, flags={"cors_allow_origins": ["*"]})


def test_a_host_that_nobody_named_is_refused(guarded):
    answer = guarded.get("/workspaces", 403, {"Host": "foe.example.org", **bearer(TOKEN)})
    assert answer.text == "forbidden host\n"


# Below a base path


def test_the_api_is_below_the_base_path_too_and_the_document_says_so(open_here):
    below = open_here.plain("GET", "/team/memory/api/v1/openapi.json")
    assert below.json["servers"] == [{"url": "/team/memory/api/v1"}]
    assert open_here.plain("GET", "/team/memory/api/v1/workspaces").json == []
    assert open_here.plain("GET", "/team/memory/auth/me").status == 200
    missing = open_here.plain("GET", "/team/memory/api/v1/nothing", CROSS_SITE)
    assert (missing.status, shared(missing)) == (404, ALLOWED)
    preflight = open_here.plain("OPTIONS", "/team/memory/api/v1/search", CROSS_SITE)
    assert (preflight.status, shared(preflight)["Access-Control-Max-Age"]) == (204, "600")
    posted = open_here.plain("POST", "/team/memory/api/v1/search", BODY, json.dumps({"q": "x"}))
    assert (posted.status, posted.json) == (200, [])


def test_without_the_wiki_there_is_no_api(tmp_path_factory):
    with served(tmp_path_factory, enable_web=False) as own:
        client = Client.__new__(Client)
        client.own, client.headers = own, {}
        assert {client.plain("GET", path).status for path in (LISTS, ME, "/api/v1/openapi.json")} == {404}
