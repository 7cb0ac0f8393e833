"""Signing a program in without pasting a token: what the program asks, what the person sees and decides."""

import http.client
import json
import re
from html import unescape
from urllib.parse import urlencode

import pytest

from ai_memory.server.browsers import Browsers
from tests.own_server import served

TOKEN = "the-token-of-who-runs-the-server"
GRANT = "urn:ietf:params:oauth:grant-type:device_code"
FORM = "application/x-www-form-urlencoded"


class Browser:
    """A browser without scripts, and the program beside it: both ask the same server."""

    def __init__(self, own):
        self.own, self.cookie = own, ""

    def asks(self, method, path, form=None, headers=None, kind=FORM):
        connection = http.client.HTTPConnection("127.0.0.1", self.own.port, timeout=10)
        try:
            sent = {"Content-Type": kind} if form is not None else {}
            sent |= {"Cookie": self.cookie} if self.cookie else {}
            body = urlencode(form) if isinstance(form, dict | list) else form
            connection.request(method, path, body, sent | (headers or {}))
            answer = connection.getresponse()
            if cookie := answer.headers.get("Set-Cookie"):
                self.cookie = cookie.partition(";")[0]
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def begins(self, **form):
        """The program asks for its codes."""
        status, headers, body = self.asks(
            "POST", "/oauth/authorize_device", {"client_id": "ltm-cli", "scope": "read write", **form}
        )
        assert (status, headers["Cache-Control"], headers["Content-Type"]) == (200, "no-store", "application/json")
        return json.loads(body)

    def polls(self, grant, **form):
        """The program asks whether it was approved, when it may."""
        self.own.clock.later(seconds=grant["interval"])
        status, headers, body = self.asks(
            "POST",
            "/oauth/token",
            {"grant_type": GRANT, "device_code": grant["device_code"], "client_id": "ltm-cli", **form},
        )
        assert headers["Cache-Control"] == "no-store"
        answer = json.loads(body)
        return status, answer.get("error", answer)

    def signs_in(self, token=TOKEN, code=""):
        return self.asks("POST", "/web/sign-in", {"token": token, "next": code and f"/web/device?user_code={code}"})

    def decides(self, grant, decision="approve", **headers):
        return self.asks("POST", "/web/device", {"user_code": grant["user_code"], "decision": decision}, headers)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with served(tmp_path_factory, auth__bearer_token=TOKEN) as own:
        yield own


@pytest.fixture(scope="module")
def open_here(tmp_path_factory):
    with served(tmp_path_factory) as own:
        yield own


@pytest.fixture
def browser(guarded):
    return Browser(guarded)


def shown(page):
    """What a person reads."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", re.split("<body[^>]*>", page)[1])).split())


def test_a_program_is_signed_in_by_the_person_who_approves_its_code(browser, guarded):
    token, ana = guarded.memory.accounts.issue("Ana of the shop")
    grant = browser.begins()
    page = f"{guarded.url}/web/device"
    assert grant == {
        "device_code": grant["device_code"],
        "user_code": grant["user_code"],
        "verification_uri": page,
        "verification_uri_complete": f"{page}?user_code={grant['user_code']}",
        "expires_in": 600,
        "interval": 5,
    }
    assert re.fullmatch(r"[B-DF-HJ-NP-TV-Z]{4}-[B-DF-HJ-NP-TV-Z]{4}", grant["user_code"])
    assert browser.polls(grant) == (400, "authorization_pending")
    path = grant["verification_uri_complete"].removeprefix(guarded.url)
    assert "Who are you?" in shown(browser.asks("GET", path)[2])
    status, headers, _ = browser.signs_in(token, grant["user_code"])
    assert (status, headers["Location"]) == (303, f"/web/device?user_code={grant['user_code']}")
    status, _, body = browser.asks("GET", path)
    assert status == 200
    assert f"{grant['user_code']} Program ltm-cli It asks for read write As Ana of the shop" in shown(body)
    assert browser.polls(grant) == (400, "authorization_pending")
    assert "Approved" in shown(browser.decides(grant)[2])
    status, answer = browser.polls(grant)
    assert (status, answer) == (
        200,
        {"access_token": answer["access_token"], "token_type": "Bearer", "scope": "read write"},
    )
    assert guarded.memory.accounts.user_of(answer["access_token"]) == ana
    assert browser.polls(grant) == (400, "invalid_grant")


def test_a_denied_program_gets_nothing(browser):
    grant = browser.begins()
    browser.signs_in()
    assert "Denied" in shown(browser.decides(grant, "deny")[2])
    assert browser.polls(grant) == (400, "access_denied")
    assert browser.polls(grant) == (400, "invalid_grant")


def test_a_program_that_asks_too_often_has_to_slow_down(browser):
    grant = browser.begins()
    assert browser.polls(grant) == (400, "authorization_pending")
    assert browser.polls(grant | {"interval": 0}) == (400, "slow_down")
    assert browser.polls(grant) == (400, "slow_down")
    assert browser.polls(grant | {"interval": 30}) == (400, "authorization_pending")


def test_a_code_holds_for_ten_minutes(browser, guarded):
    grant = browser.begins()
    browser.signs_in()
    guarded.clock.later(seconds=601)
    assert browser.polls(grant) == (400, "expired_token")
    status, _, body = browser.decides(grant)
    assert (status, "No program waits under this code" in shown(body)) == (404, True)


@pytest.mark.parametrize(
    ("path", "form", "error"),
    [
        ("/oauth/authorize_device", {}, "invalid_request"),
        ("/oauth/authorize_device", {"client_id": ""}, "invalid_request"),
        ("/oauth/authorize_device", {"client_id": "x" * 201}, "invalid_request"),
        ("/oauth/authorize_device", [("client_id", "a"), ("client_id", "b")], "invalid_request"),
        ("/oauth/authorize_device", {"client_id": "x" * 5000}, "invalid_request"),
        ("/oauth/authorize_device", "client_id=%ff", "invalid_request"),
        ("/oauth/token", {}, "invalid_request"),
        ("/oauth/token", {"grant_type": "password"}, "unsupported_grant_type"),
        ("/oauth/token", {"grant_type": GRANT}, "invalid_request"),
        ("/oauth/token", {"grant_type": GRANT, "device_code": "x"}, "invalid_request"),
        ("/oauth/token", {"grant_type": GRANT, "device_code": "x", "client_id": "ltm-cli"}, "invalid_grant"),
    ],
)
def test_a_wrong_form_is_refused_in_the_words_of_oauth(browser, path, form, error):
    status, headers, body = browser.asks("POST", path, form)
    answer = json.loads(body)
    assert (status, answer["error"], headers["Cache-Control"]) == (400, error, "no-store")
    assert set(answer) == {"error", "error_description"}


def test_a_body_that_is_no_form_is_refused(browser):
    status, _, body = browser.asks("POST", "/oauth/authorize_device", '{"client_id": "a"}', kind="application/json")
    assert (status, json.loads(body)["error"]) == (400, "invalid_request")


def test_a_code_of_another_program_is_nothing(browser):
    grant = browser.begins()
    assert browser.polls(grant, client_id="other") == (400, "invalid_grant")


def test_a_code_may_be_typed_as_people_do(browser):
    grant = browser.begins()
    browser.signs_in()
    typed = grant["user_code"].replace("-", "").lower()
    assert grant["user_code"] in shown(browser.asks("GET", f"/web/device?user_code=%20{typed}%20")[2])


# Who sits there


def test_nobody_approves_without_having_signed_in(browser):
    grant = browser.begins()
    status, _, body = browser.decides(grant)
    assert (status, "Who are you?" in shown(body)) == (401, True)
    assert browser.polls(grant) == (400, "authorization_pending")


@pytest.mark.parametrize("token", ["", "wrong", " "])
def test_a_wrong_token_signs_nobody_in(browser, token):
    status, headers, body = browser.signs_in(token)
    assert (status, "Nobody has this token." in shown(body), headers["Set-Cookie"]) == (401, True, None)


def test_the_cookie_is_for_this_server_alone_and_no_script_reads_it(browser):
    _, headers, _ = browser.signs_in()
    name, _, attributes = headers["Set-Cookie"].partition(";")
    assert sorted(attributes.strip().split("; ")) == ["HttpOnly", "Max-Age=43200", "Path=/", "SameSite=Lax"]
    assert TOKEN not in name


def test_behind_encryption_the_cookie_wants_it_too(guarded):
    body = {"token": TOKEN}
    _, headers, _ = Browser(guarded).asks("POST", "/web/sign-in", body, {"X-Forwarded-Proto": "https"})
    assert "Secure" in headers["Set-Cookie"].split("; ")


def test_a_token_that_was_taken_away_ends_what_it_began(browser, guarded):
    token, _ = guarded.memory.accounts.issue("Ben")
    browser.signs_in(token)
    assert "You are Ben." in shown(browser.asks("GET", "/web/device")[2])
    (row,) = [each for each in guarded.memory.accounts.tokens() if each.label == "Ben"]
    guarded.memory.accounts.revoke(row.hash)
    assert "Who are you?" in shown(browser.asks("GET", "/web/device")[2])
    assert browser.decides(browser.begins())[0] == 401


def test_signing_in_anew_makes_somebody_else_of_a_browser(browser, guarded):
    browser.signs_in()
    token, _ = guarded.memory.accounts.issue("Cleo")
    assert "Who are you?" in shown(browser.asks("GET", "/web/sign-in")[2])
    browser.signs_in(token)
    assert "You are Cleo." in shown(browser.asks("GET", "/web/device")[2])


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_page_of_another_site_approves_nothing(browser, headers):
    grant = browser.begins()
    browser.signs_in()
    assert browser.decides(grant, **headers)[0] == 403
    assert browser.polls(grant) == (400, "authorization_pending")


def test_this_machine_alone_needs_no_signing_in(open_here):
    browser = Browser(open_here)
    grant = browser.begins()
    assert "As owner" in shown(browser.asks("GET", f"/web/device?user_code={grant['user_code']}")[2])
    assert browser.decides(grant, Origin=open_here.url)[0] == 200
    _, answer = browser.polls(grant)
    assert open_here.memory.accounts.user_of(answer["access_token"]) == "owner"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Forwarded-Host", "Forwarded"])
def test_who_comes_through_a_proxy_is_not_this_machine(open_here, header):
    browser = Browser(open_here)
    grant = browser.begins()
    assert browser.decides(grant, **{header: "127.0.0.1"})[0] == 401
    assert browser.polls(grant) == (400, "authorization_pending")


@pytest.mark.parametrize(
    "settings",
    [{"external_url": "https://memory.example.org"}, {"packets_token": "of-this-run"}],
    ids=["external", "packets alone"],
)
def test_a_server_for_others_trusts_no_browser(tmp_path_factory, settings):
    with served(tmp_path_factory, **settings) as own:
        browser = Browser(own)
        assert browser.decides(browser.begins())[0] == 401


# What is shown


def test_what_a_program_says_of_itself_is_text_on_the_page(browser):
    grant = browser.begins(client_id="<script>alert(1)</script>", scope='"><img src=x onerror=alert(2)>')
    browser.signs_in()
    _, _, body = browser.asks("GET", f"/web/device?user_code={grant['user_code']}")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body
    assert not re.search(r"<script>|<img", body)


def test_what_is_typed_is_text_on_the_page(browser):
    _, _, body = browser.asks("GET", "/web/device?user_code=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert 'value="/web/device?user_code=%22%3E%3Cscript%3E' in body
    assert "<script>alert" not in body


@pytest.mark.parametrize("path", ["/web/device", "/web/sign-in", "/web/device?user_code=XXXX-XXXX"])
def test_a_page_loads_nothing_of_others_and_stands_in_no_frame(browser, path):
    status, headers, body = browser.asks("GET", path)
    assert (status, headers["Content-Type"], headers["Cache-Control"]) == (200, "text/html; charset=utf-8", "no-store")
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"<script>|style=|\son\w+=|https?://", body)


def test_the_stylesheet_is_there_for_everybody(browser):
    status, headers, body = browser.asks("GET", "/web/static/style.css")
    assert (status, headers["Content-Type"], "color-scheme: light dark" in body) == (
        200,
        "text/css; charset=utf-8",
        True,
    )


# Guessing


def test_who_is_wrong_ten_times_has_to_wait():
    now = [1000.0]
    known = Browsers(lambda: now[0])
    for _ in range(9):
        known.was_wrong("ana")
    assert not known.must_wait("ana")
    known.was_wrong("ana")
    assert (known.must_wait("ana"), known.must_wait("ben")) == (True, False)
    now[0] += 301
    assert not known.must_wait("ana")
    cookie = known.sign_in("token")
    assert (known.token_of(cookie), known.token_of("other")) == ("token", "")
    now[0] += 12 * 3600
    assert known.token_of(cookie) == ""


def test_nobody_signs_others_out_by_signing_in():
    known = Browsers()
    mine = known.sign_in("mine")
    theirs = [known.sign_in("theirs") for _ in range(1_500)]
    assert known.token_of(mine) == "mine"
    assert [known.token_of(each) for each in theirs[-51:]] == ["", *["theirs"] * 50]


def test_after_ten_wrong_codes_not_even_the_right_one_is_looked_at(tmp_path_factory):
    with served(tmp_path_factory, auth__bearer_token=TOKEN) as own:
        browser = Browser(own)
        grant = browser.begins()
        browser.signs_in()
        for _ in range(5):
            assert browser.asks("GET", "/web/device?user_code=BBBB-BBBB")[0] == 404
            assert browser.decides({"user_code": "BBBB-BBBB"})[0] == 404
        assert browser.asks("GET", f"/web/device?user_code={grant['user_code']}")[0] == 429
        assert browser.decides(grant)[0] == 429
        assert browser.polls(grant) == (400, "authorization_pending")
        for _ in range(10):
            assert browser.signs_in("wrong")[0] == 401
        assert browser.signs_in(TOKEN)[0] == 429
