"""Where `/web` is: slugs, base paths, a front end of one's own, signing in, what is let in and what is not."""

import base64
import http.client
import json
import re
from urllib.parse import urlencode

import pytest

from ai_memory.config import load_settings
from ai_memory.errors import ConfigError
from ai_memory.server.web.addresses import mount_path
from ai_memory.server.web.shell import injected
from tests.own_server import served

TOKEN = "the-token-of-who-runs-the-server"
PAGE = {"Accept": "text/html,application/xhtml+xml"}
NAVIGATION = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def basic(password):
    return {"Authorization": "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()}


def ask(own, path, headers=None, method="GET", form=None):
    """Ask as a browser without scripts does; gives status, headers and text."""
    connection = http.client.HTTPConnection("127.0.0.1", own.port, timeout=10)
    try:
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        connection.request(method, path, urlencode(form) if form else None, {**kind, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode(errors="replace")
    finally:
        connection.close()


def signed_in(own, token=TOKEN, base=""):
    _, headers, _ = ask(own, f"{base}/web/sign-in", method="POST", form={"token": token})
    return {"Cookie": headers["Set-Cookie"].partition(";")[0], **PAGE}


@pytest.fixture(scope="module")
def open_here(tmp_path_factory):
    with served(tmp_path_factory) as own:
        yield own


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with served(tmp_path_factory, auth__bearer_token=TOKEN) as own:
        yield own


@pytest.fixture(scope="module")
def below(tmp_path_factory):
    """A server below `/team/memory`, with the wiki at `/wiki` there."""
    with served(tmp_path_factory, base_path="team/memory/", web_slug="wiki", auth__bearer_token=TOKEN) as own:
        yield own


@pytest.fixture(scope="module")
def front_end(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ui")
    (folder / "index.html").write_text(
        "<!-- <head> -->\n<html><head lang=en><title>Ours</title></head></html>", "utf-8-sig"
    )
    (folder / "assets").mkdir()
    (folder / "assets" / "app.js").write_text("let x;")
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "out").symlink_to(folder.parent / "secret.txt")
    with served(tmp_path_factory, web_ui_dir=str(folder), base_path="/m", auth__bearer_token=TOKEN) as own:
        yield own


# Paths


@pytest.mark.parametrize("path", ["/web", "/web/"])
def test_the_wiki_is_there_with_and_without_a_slash(open_here, path):
    status, headers, body = ask(open_here, path)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "What your agents know" in body


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ("", ""),
        ("/", ""),
        ("memory", "/memory"),
        ("/a//b/", "/a/b"),
        ("/a.b/~c_d-e", "/a.b/~c_d-e"),
        ("/../etc", None),
        ("/a/./b", None),
        ('/"><script>', None),
        ("/a b", None),
        ("https://evil.example/x", None),
        ("/a?b", None),
    ],
)
def test_a_path_to_mount_at_leads_nowhere_else(said, path):
    assert mount_path(said) == path


def test_an_unsafe_path_is_taken_as_the_root(tmp_path_factory, caplog):
    with served(tmp_path_factory, base_path="/../x", web_slug='/"><b>') as own:
        assert ask(own, "/")[0] == 200
        assert "base_path '/../x' is no path" in caplog.text


def test_what_is_not_there_below_admin_is_said_in_json(open_here):
    status, headers, body = ask(open_here, "/admin/nowhere")
    assert (status, headers.get_content_type()) == (404, "application/json")
    assert json.loads(body) == {"error": "there is no GET /admin/nowhere here"}


@pytest.mark.parametrize("prefix", ["/team/memory", ""], ids=["kept by the proxy", "stripped by the proxy"])
def test_below_a_base_path_everything_is_there_whether_a_proxy_strips_it_or_not(below, prefix):
    signed = signed_in(below, base=prefix)
    for path in ("/wiki", "/wiki/", "/wiki/status"):
        status, _, body = ask(below, prefix + path, signed)
        assert (path, status) == (path, 200)
        addresses = re.findall(r'(?:href|src|action|data-events)="([^"#]+)"', body)
        assert addresses
        assert [each for each in addresses if not each.startswith("/team/memory/")] == [], path
    assert ask(below, f"{prefix}/healthz")[0] == 200
    assert ask(below, f"{prefix}/admin/status", {"Authorization": f"Bearer {TOKEN}"})[0] == 200
    assert ask(below, f"{prefix}/api/v1/nothing", {"Authorization": f"Bearer {TOKEN}"})[0] == 404
    assert ask(below, f"{prefix}/web/static/style.css")[0] == 200
    assert ask(below, f"{prefix}/web")[0] == 401


def test_below_a_base_path_the_cookie_and_the_way_back_are_there_too(below):
    status, headers, _ = ask(below, "/team/memory/wiki/status", PAGE)
    there = "/team/memory/web/sign-in?next=%2Fteam%2Fmemory%2Fwiki%2Fstatus"
    assert (status, headers["Location"]) == (303, there)
    form = {"token": TOKEN, "next": "/team/memory/wiki/status"}
    status, headers, _ = ask(below, "/team/memory/web/sign-in", method="POST", form=form)
    assert (status, headers["Location"]) == (303, "/team/memory/wiki/status")
    assert "Path=/team/memory;" in headers["Set-Cookie"] + ";"


def test_a_path_that_only_begins_like_the_base_path_is_another(below):
    assert ask(below, "/team/memoryx/healthz")[0] == 401


def test_at_the_root_the_wiki_leaves_the_other_doors_alone(tmp_path_factory):
    with served(tmp_path_factory, web_slug="/") as own:
        assert "What your agents know" in ask(own, "/")[2]
        assert ask(own, "/status")[0] == 200
        status, headers, _ = ask(own, "/nowhere")
        assert (status, headers["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert ask(own, "/healthz")[2] == '{"status": "ok"}'
        assert ask(own, "/api/v1/nothing")[1]["Content-Type"] == "application/json; charset=utf-8"


def test_without_the_web_there_is_none(tmp_path_factory):
    with served(tmp_path_factory, enable_web=False) as own:
        assert [ask(own, path)[0] for path in ("/web", "/api/v1/workspaces", "/healthz")] == [404, 404, 200]


def test_browsers_get_an_icon_without_a_token(guarded):
    status, headers, _ = ask(guarded, "/favicon.ico")
    assert (status, headers["Content-Type"]) == (200, "image/png")


@pytest.mark.parametrize("path", ["/web/nothing", "/web/w/none/none", "/web/w/none", "/web/w/a/b/p/%00%2e%2e/x.md"])
def test_what_is_not_there_is_said_on_a_page(open_here, path):
    status, headers, body = ask(open_here, path, PAGE)
    assert (status, headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "There is nothing here" in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/web", "/web/status", "/web/w/a/b/p/x.md"])
def test_nothing_can_be_written_here(open_here, method, path):
    assert ask(open_here, path, method=method)[0] == 405


# Who may look


@pytest.mark.parametrize("headers", [{"Authorization": f"Bearer {TOKEN}"}, basic(TOKEN)], ids=["bearer", "basic"])
def test_the_token_opens_the_wiki(guarded, headers):
    assert ask(guarded, "/web", headers)[0] == 200


def test_a_person_is_asked_to_sign_in_and_a_program_is_told_how(guarded):
    status, headers, _ = ask(guarded, "/web/status?x=1", PAGE)
    assert (status, headers["Location"]) == (303, "/web/sign-in?next=%2Fweb%2Fstatus%3Fx%3D1")
    assert "Who are you?" in ask(guarded, headers["Location"], PAGE)[2]
    status, headers, body = ask(guarded, "/web/status")
    assert (status, body) == (401, "auth required\n")
    assert headers["WWW-Authenticate"].startswith('Basic realm="ai-memory", Bearer')


def test_who_signed_in_reads_until_signing_out(guarded):
    signed = signed_in(guarded)
    status, _, body = ask(guarded, "/web", signed)
    assert (status, "Sign out" in body) == (200, True)
    assert ask(guarded, "/admin/status", signed)[0] == 401
    assert ask(guarded, "/web/sign-out", signed, "POST")[0] == 303
    assert ask(guarded, "/web", signed)[0] == 303


def test_the_token_of_packets_opens_no_wiki(guarded):
    token, _ = guarded.memory.accounts.issue("Dora")
    signed = signed_in(guarded, token)
    status, headers, _ = ask(guarded, "/web", signed)
    assert status == 303
    body = ask(guarded, headers["Location"], signed)[2]
    assert "open to the server&#39;s own token alone" in body


def test_where_no_dialog_of_the_browser_may_come_up_none_does(guarded):
    forgotten = {"Cookie": "ai_memory_session=of-yesterday"}
    assert "Basic" not in ask(guarded, "/api/v1/workspaces", forgotten)[1]["WWW-Authenticate"]
    assert "Basic" in ask(guarded, "/api/v1/workspaces")[1]["WWW-Authenticate"]


def test_after_ten_wrong_tokens_not_even_the_right_one_is_looked_at(tmp_path_factory):
    with served(tmp_path_factory, auth__bearer_token=TOKEN) as own:
        signed = signed_in(own)
        assert [ask(own, "/web", basic("wrong"))[0] for _ in range(10)] == [401] * 10
        assert ask(own, "/web", basic(TOKEN))[0] == 429
        assert ask(own, "/api/v1/workspaces", {"Authorization": f"Bearer {TOKEN}"})[0] == 429
        assert ask(own, "/web", signed)[0] == 200


def test_behind_a_proxy_one_who_guesses_locks_nobody_else_out(tmp_path_factory):
    with served(tmp_path_factory, auth__bearer_token=TOKEN, external_url="https://memory.example.org") as own:
        for _ in range(10):
            assert ask(own, "/web", {**basic("wrong"), "X-Forwarded-For": "203.0.113.7"})[0] == 401
        assert ask(own, "/web", {**basic(TOKEN), "X-Forwarded-For": "198.51.100.1, 203.0.113.7"})[0] == 429
        assert ask(own, "/web", {**basic(TOKEN), "X-Forwarded-For": "203.0.113.7, 198.51.100.1"})[0] == 200
        # Of one IPv6 network, each from another address.
        for last in range(10):
            assert ask(own, "/web", {**basic("wrong"), "X-Forwarded-For": f"2001:db8:1:2::{last:x}"})[0] == 401
        assert ask(own, "/web", {**basic(TOKEN), "X-Forwarded-For": "2001:db8:1:2:ffff::1"})[0] == 429
        assert ask(own, "/web", {**basic(TOKEN), "X-Forwarded-For": "2001:db8:1:3::1"})[0] == 200


@pytest.mark.parametrize(
    "there",
    ["//evil.example/x", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "", "/x\r\nSet-Cookie: a=b"],
)
def test_signing_in_leads_to_no_other_site(guarded, there):
    status, headers, _ = ask(guarded, "/web/sign-in", method="POST", form={"token": TOKEN, "next": there})
    assert (status, headers["Location"]) == (303, "/web")


def test_a_link_on_another_site_leads_to_a_page_and_to_nothing_else(open_here):
    assert ask(open_here, "/web", NAVIGATION)[0] == 200
    assert ask(open_here, "/admin/status", NAVIGATION)[0] == 403
    assert ask(open_here, "/api/v1/workspaces", NAVIGATION)[0] == 403
    assert ask(open_here, "/web", {**NAVIGATION, "Sec-Fetch-Dest": "iframe"})[0] == 403
    assert ask(open_here, "/web", {**NAVIGATION, "Origin": "https://evil.example"})[0] == 403
    assert ask(open_here, "/web/sign-out", NAVIGATION, "POST")[0] == 403


def test_a_page_is_no_others_and_loads_nothing_of_others(open_here):
    _, headers, body = ask(open_here, "/web")
    assert headers["Cache-Control"] == "private, no-cache"
    assert headers["Vary"] == "Authorization, Cookie"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert not re.search(r"<script>|<style|\sstyle=|\son\w+=|https?://", body)


def test_a_browser_that_has_a_page_gets_it_no_second_time(open_here):
    _, headers, _ = ask(open_here, "/web/search")
    assert ask(open_here, "/web/search", {"If-None-Match": headers["ETag"]})[::2] == (304, "")


def test_a_static_file_is_kept_for_ever_under_the_name_of_its_content(guarded):
    address = re.search(r'href="(/web/static/style[^"]+)"', ask(guarded, "/web/sign-in")[2])[1]
    assert ask(guarded, address)[1]["Cache-Control"] == "public, max-age=31536000, immutable"
    assert ask(guarded, "/web/static/style.css?v=other")[1]["Cache-Control"] == "no-cache"
    assert ask(guarded, "/web/static/../layout.html")[0] in (401, 404)
    assert ask(guarded, "/web/static/nothing.css")[0] == 404


# A front end of one's own


@pytest.mark.parametrize(
    "path", ["/m/web", "/m/web/", "/web/", "/m/web/index.html", "/m/web/projects/a%20b/c%25d/x.md"]
)
def test_a_front_end_gets_its_shell_for_every_path_that_is_no_file(front_end, path):
    status, headers, body = ask(front_end, path)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    said = '<base href="/m/web/"><meta name="ai-memory-base-path" content="/m">'
    assert body == f"<!-- <head> -->\n<html><head lang=en>{said}<title>Ours</title></head></html>"


def test_a_front_end_at_the_root_takes_no_door_of_others(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ui")
    (folder / "index.html").write_text("<head></head>shell")
    with served(tmp_path_factory, web_ui_dir=str(folder), web_slug="/") as own:
        assert ["shell" in ask(own, path)[2] for path in ("/", "/projects/a", "/administered")] == [True] * 3
        others = ("/admin/nowhere", "/api/v1/nowhere", "/auth/nowhere", "/hook", "/oauth/nowhere")
        answers = [ask(own, path) for path in others]
        assert [(status, "shell" in body) for status, _, body in answers] == [(404, False)] * 5
        assert [headers.get_content_type() for _, headers, _ in answers[:3]] == ["application/json"] * 3


def test_a_front_end_has_its_files_and_nothing_beside_them(front_end):
    assert ask(front_end, "/m/web/assets/app.js")[2] == "let x;"
    for path in (
        "/m/web/out",
        "/m/web/../secret.txt",
        "/m/web/%2e%2e/secret.txt",
        "/m/web/assets/..%2f..%2fsecret.txt",
    ):
        assert "secret" not in ask(front_end, path)[2]


def test_the_shell_is_open_and_the_data_is_not(front_end):
    assert ask(front_end, "/m/api/v1/workspaces")[0] == 401
    assert ask(front_end, "/m/admin/status")[0] == 401
    status, headers, _ = ask(front_end, "/m/api/v1/nothing", {"Authorization": f"Bearer {TOKEN}"})
    assert (status, headers["Content-Type"]) == (404, "application/json; charset=utf-8")


@pytest.mark.parametrize(
    ("shell", "before"),
    [
        ("<head>", "<head>"),
        ("<HEAD data-x='1'>", "<HEAD data-x='1'>"),
        ("<!-- <head> --><header><head>", "<!-- <head> --><header><head>"),
        ("no head", ""),
    ],
)
def test_a_shell_is_told_where_it_is_behind_its_head(shell, before):
    assert injected(shell, "", "/web").startswith(before + '<base href="/web/"><meta')


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"web_ui_dir": "/nowhere"}, "has no index.html"),
        ({"web_ui_dir": "/nowhere", "enable_web": False}, "needs enable_web"),
        ({"cors_allow_origins": ["*"]}, "is no origin"),
        ({"cors_allow_origins": ["https://a.example/path"]}, "is no origin"),
        ({"cors_allow_origins": ["https://*.example"]}, "is no origin"),
        ({"cors_allow_origins": ["null"]}, "is no origin"),
    ],
)
def test_what_cannot_be_served_is_said_at_the_start(tmp_path, flags, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_settings(tmp_path, flags=flags)
