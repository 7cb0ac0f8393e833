"""What gets past no gate: doors beside a front end at the root, paths of other doors, tokens that open packets alone."""

import http.client
from urllib.parse import urlencode

import pytest

from ai_memory.server.web import mount
from tests.own_server import served

TOKEN = "the-token-of-who-runs-the-server"
OWN = {"Authorization": f"Bearer {TOKEN}"}
PAGE = {"Accept": "text/html"}
NAVIGATION = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", **PAGE}


def ask(own, path, headers=None, method="GET", body=None):
    """Ask, and follow nothing; gives status, headers and text."""
    connection = http.client.HTTPConnection("127.0.0.1", own.port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode(errors="replace")
    finally:
        connection.close()


def sign_in(own, token, base=""):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, headers, _ = ask(own, f"{base}/web/sign-in", form, "POST", urlencode({"token": token}))
    assert status == 303
    return {"Cookie": headers["Set-Cookie"].partition(";")[0]}


@pytest.fixture(scope="module")
def at_root(tmp_path_factory):
    """A server whose root is a front end of somebody's own."""
    folder = tmp_path_factory.mktemp("ui")
    (folder / "index.html").write_text("<head></head>shell")
    (folder / ".env").write_text("secret")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("secret")
    with served(tmp_path_factory, web_ui_dir=str(folder), web_slug="/", auth__bearer_token=TOKEN) as own:
        yield own


@pytest.fixture(scope="module")
def wiki_at_root(tmp_path_factory):
    with served(tmp_path_factory, web_slug="/", auth__bearer_token=TOKEN) as own:
        yield own


@pytest.fixture(scope="module")
def below(tmp_path_factory):
    with served(tmp_path_factory, base_path="/m", auth__bearer_token=TOKEN) as own:
        yield own


@pytest.mark.parametrize(
    "path",
    [
        "/admin/status",
        "/admin/search?query=x",
        "/api/v1/workspaces",
        "/api/v1/events",
        "/api/v1/search?q=x",
        "/handoff",
        "/hook",
        "/mcp",
        "/mcp/memories",
        "/mcp/sse?toolset=packets",
        "/v1/packets",
        "/%61dmin/status",
        "/api%2Fv1/workspaces",
    ],
)
def test_a_front_end_at_the_root_opens_no_other_door(at_root, path):
    status, _, body = ask(at_root, path)
    assert (status, "shell" in body) == (401, False)


def test_a_front_end_at_the_root_is_there_and_shows_no_hidden_file(at_root):
    for path in ("/", "/projects/x", "//admin/status", "/.env", "/.git/config", "/x/../.env", "/" + "x" * 300):
        status, _, body = ask(at_root, path)
        assert (path, status, body.endswith("shell")) == (path, 200, True)


@pytest.mark.parametrize("path", ["/web/static", "/api", "/auth/x", "/v1", "/mcp", "/healthz"])
@pytest.mark.parametrize("key", ["base_path", "web_slug"])
def test_nothing_is_mounted_where_other_rules_hold(tmp_path, caplog, key, path):
    at = mount.addresses({"base_path": "", "web_slug": "/web", key: path})
    assert (at.base, at.slug) == ("", "" if key == "web_slug" else "/web")
    assert f"{key} '{path}' is where something else is served" in caplog.text


def test_a_token_of_ones_own_for_packets_opens_no_wiki(below):
    token, _ = below.memory.accounts.issue("laptop", user="owner")
    for offered, status in ((token, 401), (TOKEN, 200)):
        cookie = sign_in(below, offered, "/m")
        assert [ask(below, path, cookie)[0] for path in ("/m/web", "/m/api/v1/workspaces")] == [status, status]
        told = [ask(below, f"/m/web/sign-in?next=/m/web/{there}", cookie)[2] for there in ("status", "device")]
        # Who lets a program in needs no more.
        assert ["server&#39;s own token alone" in body for body in told] == [offered == token, False]


def test_a_link_on_another_site_leads_to_the_sign_in_wherever_the_wiki_is(wiki_at_root):
    status, headers, _ = ask(wiki_at_root, "/status", NAVIGATION)
    assert (status, headers["Location"]) == (303, "/web/sign-in?next=%2Fstatus")
    assert ask(wiki_at_root, headers["Location"], NAVIGATION)[0] == 200
    assert ask(wiki_at_root, "/admin/status", {**NAVIGATION, **OWN})[0] == 403


def test_no_address_of_a_page_is_another_host(wiki_at_root):
    status, _, body = ask(wiki_at_root, "//evil.example/x", OWN)
    assert (status, 'href="/evil.example/x"' in body, 'href="//' in body) == (404, True, False)
    assert ask(wiki_at_root, "//evil.example/x", PAGE)[1]["Location"] == "/web/sign-in?next=%2Fevil.example%2Fx"


@pytest.mark.parametrize("path", ["/m//v1/healthz?x=1", "/m/v1//healthz?x=1", "//v1/healthz?x=1"])
def test_a_client_of_packets_below_a_base_path_may_double_a_slash(below, path):
    status, headers, _ = ask(below, path)
    assert (status, headers["Location"]) == (307, "/m/v1/healthz?x=1")
    assert ask(below, headers["Location"])[0] == 200


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/m/web/search?q=x&until=9999-12-31", 200),
        ("/m/web/search?q=x&since=9999-12-31", 200),
        (f"/m/web/w/default/shop/p/{'x' * 300}.md", 404),
        (f"/m/web/w/default/shop/raw/{'x/' * 2100}.md", 404),
        (f"/m/api/v1/workspaces/default/projects/shop/pages/{'x' * 300}.md", 404),
        (f"/m/admin/read-page?workspace=default&project=shop&path={'x' * 300}.md", 404),
    ],
    ids=["last day", "since the last day", "page", "raw", "api", "admin"],
)
def test_what_cannot_be_is_no_fault_of_the_server(below, path, expected):
    if not below.memory.projects.called("default", "shop"):
        below.memory.projects.create("default", "shop")
    assert ask(below, path, OWN)[0] == expected


@pytest.mark.parametrize("path", ["/hook/batch", "/api/v1/search", "/admin/write-page"])
def test_a_body_that_is_not_what_its_headers_say_is_refused(below, path):
    broken = {**OWN, "Content-Type": "application/json", "Content-Encoding": "gzip"}
    status, _, body = ask(below, f"/m{path}", broken, "POST", b"no gzip")
    assert (status, "read body: it is not encoded as its headers say" in body) == (400, True)


@pytest.mark.parametrize("path", ["Style.css", "", "w/Default/x", "..%2flayout.html", "%0a", "../../admin/status"])
def test_what_is_no_static_file_is_nothing_else_either(below, path):
    assert ask(below, f"/m/web/static/{path}")[::2] == (404, "there is no such file\n")


def test_no_answer_of_the_api_is_taken_for_something_else(below):
    answers = [ask(below, f"/m/api/v1/{path}", headers)[1] for path in ("workspaces", "x") for headers in (OWN, {})]
    assert [each["X-Content-Type-Options"] for each in answers] == ["nosniff"] * 4
