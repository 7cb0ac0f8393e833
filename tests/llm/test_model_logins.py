"""Signing in at subscriptions, the file of their tokens, and their renewal."""

import base64
import json
import os
import threading
import urllib.request
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit

import pytest
from model_vendors import GITHUB, NOW

from ai_memory.config import load_settings
from ai_memory.errors import ConfigError
from ai_memory.llm.bearer import OPENAI_CLIENT
from ai_memory.llm.chat import Ask, ModelError, chat_of
from ai_memory.llm.logins import Logins
from ai_memory.llm.sign_in import Patience, SignInError, copilot_by_code, openai_by_browser, openai_by_code

ASK = Ask("p", "s", "u")


def jwt(**claims):
    parts = ({"alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".sig"


ACCOUNT = {"https://api.openai.com/auth": {"chatgpt_account_id": "acc-7"}}
GIVEN = {"access_token": "at-2", "refresh_token": "rt-2", "id_token": jwt(**ACCOUNT), "expires_in": 3600}
KEPT = {"access_token": "at-2", "refresh_token": "rt-2", "account_id": "acc-7", "expires_at": NOW + 3600}
OLD = {"access_token": "at-1", "refresh_token": "rt-1", "account_id": "acc-1", "expires_at": NOW + 59}


@pytest.fixture
def logins(tmp_path):
    return Logins(tmp_path)


@pytest.fixture
def chat(vendors, addresses, calls, clock, tmp_path):
    settings = load_settings(tmp_path, flags={"llm_provider": "openai-oauth"})
    return chat_of(settings, calls.append, addresses=addresses, now=clock, sleep=clock.sleep, monotonic=clock)


def forms_of(vendors):
    return [(path, {key: values[0] for key, values in parse_qs(body).items()}) for path, _, body in vendors.forms]


def test_tokens_are_their_owners_alone_and_leave_when_told(logins):
    assert (logins.of("copilot"), logins.forget("copilot")) == (None, False)
    logins.keep("copilot", {"github_token": GITHUB})
    logins.keep("openai-oauth", OLD)
    assert (logins.of("copilot"), logins.of("openai-oauth")) == ({"github_token": GITHUB}, OLD)
    if os.name != "nt":
        assert logins.file.stat().st_mode & 0o777 == 0o600
    assert logins.forget("copilot") is True
    assert json.loads(logins.file.read_text()) == {"openai-oauth": OLD}


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"copilot": 1}', b"\xff"])
def test_a_damaged_file_is_named_and_left_alone(content, logins):
    logins.file.write_bytes(content)
    for act in (lambda: logins.of("copilot"), lambda: logins.keep("copilot", {}), lambda: logins.forget("copilot")):
        with pytest.raises(ConfigError) as caught:
            act()
        assert str(logins.file) in str(caught.value)
    assert logins.file.read_bytes() == content


def test_a_token_with_a_minute_left_is_used_and_with_less_it_is_renewed_first(chat, logins, vendors, clock):
    logins.keep("openai-oauth", {**OLD, "expires_at": NOW + 61})
    vendors.pages["/oauth/token"] = [(200, GIVEN)]
    chat.ask(ASK)
    clock.now += 2
    chat.ask(ASK)
    chat.ask(ASK)
    sent = [(headers["authorization"], headers["chatgpt-account-id"]) for _, headers, _ in vendors.asked]
    assert sent == [("Bearer at-1", "acc-1"), *[("Bearer at-2", "acc-7")] * 2]
    renewal = {"grant_type": "refresh_token", "refresh_token": "rt-1", "client_id": OPENAI_CLIENT}
    assert forms_of(vendors) == [("/oauth/token", renewal)]
    assert logins.of("openai-oauth") == {**KEPT, "expires_at": NOW + 2 + 3600}


def test_what_a_renewal_leaves_out_goes_on(chat, logins, vendors):
    logins.keep("openai-oauth", OLD)
    vendors.pages["/oauth/token"] = [(200, {"access_token": jwt(exp=NOW + 999)})]
    chat.ask(ASK)
    kept = logins.of("openai-oauth")
    assert (kept["refresh_token"], kept["account_id"], kept["expires_at"]) == ("rt-1", "acc-1", NOW + 999)


def test_eight_questions_at_once_renew_a_token_once(chat, logins, vendors, calls):
    logins.keep("openai-oauth", OLD)
    vendors.pages["/oauth/token"] = [(200, GIVEN), (400, {"error": "refresh_token_reused"})]
    threads = [threading.Thread(target=chat.ask, args=[ASK]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(vendors.forms) == 1
    assert [each.outcome for each in calls] == ["ok"] * 8


@pytest.mark.parametrize(
    ("page", "kind"),
    [((400, {"error": "rt-1 is used up"}), "unconfigured"), ((503, {}), "transient"), ((200, {}), "unconfigured")],
    ids=["refused", "away", "no-token"],
)
def test_a_renewal_that_fails_asks_no_model_and_keeps_what_there_is(page, kind, chat, logins, vendors, calls):
    logins.keep("openai-oauth", OLD)
    vendors.pages["/oauth/token"] = [page]
    with pytest.raises(ModelError) as caught:
        chat.ask(ASK)
    assert caught.value.kind == kind
    assert "rt-1" not in str(caught.value)
    assert (vendors.asked, calls, logins.of("openai-oauth")) == ([], [], OLD)


def test_a_damaged_file_of_tokens_is_a_setting_to_look_at(chat, logins, vendors):
    logins.file.write_text("{")
    with pytest.raises(ModelError) as caught:
        chat.ask(ASK)
    assert (caught.value.kind, vendors.asked) == ("unconfigured", [])
    assert str(logins.file) in str(caught.value)


@pytest.fixture
def patience(clock):
    return Patience(600.0, clock.sleep, clock, clock)


class Shown(list):
    def __call__(self, *said):
        self.append(said)


DEVICE = {"device_code": "dc", "user_code": "AB-12", "verification_uri": "https://github.example/device", "interval": 5}


def test_copilot_is_signed_in_with_a_code(vendors, addresses, patience, clock):
    vendors.pages["/login/device/code"] = [(200, DEVICE)]
    vendors.pages["/login/oauth/access_token"] = [
        (200, {"error": "authorization_pending"}),
        (200, {"error": "slow_down", "interval": 12}),
        (200, {"access_token": GITHUB}),
    ]
    shown = Shown()
    assert copilot_by_code(addresses, "my-client", shown, patience) == {"github_token": GITHUB}
    assert shown == [("https://github.example/device", "AB-12")]
    assert clock.slept == [5.0, 5.0, 12.0]
    poll = {
        "client_id": "my-client",
        "device_code": "dc",
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
    }
    assert forms_of(vendors) == [
        ("/login/device/code", {"client_id": "my-client", "scope": "read:user"}),
        *[("/login/oauth/access_token", poll)] * 3,
    ]


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ((200, {"error": "access_denied"}), "GitHub ended the signing in: access_denied"),
        ((200, {"error": "x" * 99}), "GitHub ended the signing in: no reason was given"),
        ((200, {"error": "authorization_pending"}), "nobody signed in in time: nothing was changed"),
    ],
)
def test_a_code_that_nobody_approves_signs_nobody_in(page, said, vendors, addresses, patience, clock):
    vendors.pages["/login/device/code"] = [(200, {**DEVICE, "interval": 60})]
    vendors.pages["/login/oauth/access_token"] = [page]
    with pytest.raises(SignInError) as caught:
        copilot_by_code(addresses, "", Shown(), patience)
    assert str(caught.value) == said
    assert clock.now <= NOW + 600


def test_a_refused_start_of_signing_in_is_told(vendors, addresses, patience):
    vendors.pages["/login/device/code"] = [(400, {"error": "unauthorized_client"})]
    with pytest.raises(SignInError) as caught:
        copilot_by_code(addresses, "", Shown(), patience)
    assert str(caught.value) == "signing in was refused (HTTP 400): unauthorized_client"


def test_openai_is_signed_in_with_a_code(vendors, addresses, patience, clock):
    accounts = "/api/accounts/deviceauth"
    vendors.pages[f"{accounts}/usercode"] = [
        (200, {"device_auth_id": "da", "user_code": "CODE-1", "interval": "4"}),
    ]
    vendors.pages[f"{accounts}/token"] = [
        (403, {}),
        (404, {}),
        (200, {"authorization_code": "code", "code_verifier": "verifier"}),
    ]
    vendors.pages["/oauth/token"] = [(200, GIVEN)]
    shown = Shown()
    found = openai_by_code(addresses, shown, patience)
    assert found == {**KEPT, "expires_at": NOW + 12 + 3600}
    assert (shown, clock.slept) == ([(f"{vendors.url}/codex/device", "CODE-1")], [4.0] * 3)
    assert [path for path, _, _ in vendors.forms] == [
        f"{accounts}/usercode",
        *[f"{accounts}/token"] * 3,
        "/oauth/token",
    ]
    assert forms_of(vendors)[-1][1] == {
        "grant_type": "authorization_code",
        "code": "code",
        "redirect_uri": f"{vendors.url}/deviceauth/callback",
        "client_id": OPENAI_CLIENT,
        "code_verifier": "verifier",
    }


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def browser(port, *visits):
    """Make what opens a page: a browser that comes back with each of some queries, and notes the answers."""
    answers, pages, threads = [], [], []

    def visit(state):
        for query in visits:
            url = f"http://127.0.0.1:{port}/auth/callback?{query.replace('STATE', state)}"
            try:
                with urllib.request.urlopen(url, timeout=10) as response:
                    answers.append((response.status, response.read()))
            except HTTPError as error:
                with error:
                    answers.append((error.code, error.read()))

    def show(page):
        pages.append(page)
        asked = parse_qs(urlsplit(page).query)
        threads.append(threading.Thread(target=visit, args=[asked["state"][0]]))
        threads[0].start()

    return show, pages, answers, threads


def test_openai_is_signed_in_in_the_browser_and_a_foreign_page_is_sent_away(vendors, addresses, patience):
    port = free_port()
    vendors.pages["/oauth/token"] = [(200, GIVEN)]
    show, pages, answers, threads = browser(port, "code=evil&state=other", "code=evil", "code=good&state=STATE")
    assert openai_by_browser(addresses, show, patience, port) == KEPT
    threads[0].join(10)
    assert [status for status, _ in answers] == [400, 400, 200]
    asked = {key: values[0] for key, values in parse_qs(urlsplit(pages[0]).query).items()}
    ((_, form),) = forms_of(vendors)
    assert (form["code"], form["redirect_uri"]) == ("good", f"http://localhost:{port}/auth/callback")
    assert (asked["redirect_uri"], asked["client_id"]) == (form["redirect_uri"], form["client_id"])
    assert asked["scope"] == "openid profile email offline_access"
    assert asked["code_challenge_method"] == "S256"
    import hashlib

    digest = hashlib.sha256(form["code_verifier"].encode()).digest()
    assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")


def test_a_browser_that_says_no_signs_nobody_in(vendors, addresses, patience):
    port = free_port()
    show, _, _, threads = browser(port, "error=access_denied&state=STATE")
    with pytest.raises(SignInError) as caught:
        openai_by_browser(addresses, show, patience, port)
    threads[0].join(10)
    assert str(caught.value) == "OpenAI ended the signing in: access_denied"
    assert vendors.forms == []


def test_a_port_that_is_taken_is_named_with_the_other_way(running_vendors, addresses, patience):
    with pytest.raises(SignInError) as caught:
        openai_by_browser(addresses, Shown(), patience, running_vendors.server_port)
    assert "--device" in str(caught.value)
    assert str(running_vendors.server_port) in str(caught.value)


def test_nobody_waits_for_ever_for_a_browser(addresses):
    with pytest.raises(SignInError) as caught:
        openai_by_browser(addresses, Shown(), Patience(0.0), free_port())
    assert str(caught.value) == "nobody signed in in time: nothing was changed"
