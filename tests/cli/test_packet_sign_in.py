"""Signing in at a server of packets, and where a token goes: to its own server and nowhere else."""

import hashlib
import json
import os
import stat
import sys

import pytest

from ai_memory.cli import auth as auth_module
from ai_memory.cli.credentials import Credentials, hash8, host_named, token_typed
from ai_memory.errors import BadRequestError, ConfigError

TOKEN = "abc123" * 8
HASH8 = hashlib.sha256(TOKEN.encode()).hexdigest()[:8]
HEALTHY = (200, {"ok": True, "version": "0.2"})
EMPTY = (200, {"packets": []})
GRANT = {
    "device_code": "dev-1",
    "user_code": "bcdfghjk",
    "verification_uri": "https://hub.example/device",
    "expires_in": 5,
    "interval": 0.001,
}


def kept(wire):
    return json.loads(wire.credentials.read_text())


# With a token


@pytest.mark.parametrize("how", ["argument", "stdin"])
def test_a_token_is_kept_once_the_server_is_healthy_and_takes_it(own, wire, type_, how):
    wire.answers |= {"GET /v1/healthz": HEALTHY, "GET /v1/packets?limit=1": EMPTY}
    done = (
        type_("auth", f"{wire.host}//", TOKEN)
        if how == "argument"
        else type_("auth", wire.host, "-", stdin=f" {TOKEN}\n")
    )
    assert (done.code, done.out) == (0, f"✓ authenticated\n✓ default host set to {wire.host}\n")
    assert ("shell's history" in done.err) is (how == "argument")
    assert [(each.line, each.bearer) for each in wire.asked] == [
        ("GET /v1/healthz", None),
        ("GET /v1/packets?limit=1", f"Bearer {TOKEN}"),
    ]
    assert kept(wire) == {"default": wire.host, "tokens": {wire.host: TOKEN}}
    if os.name != "nt":
        assert stat.S_IMODE(wire.credentials.stat().st_mode) == 0o600
    who = json.loads(type_("auth", "whoami").out)
    assert who == json.loads(type_("whoami").out) == {"host": wire.host, "token_hash8": HASH8}
    assert own.asked == []


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, "error: unexpected health response: 404"),
        ({"GET /v1/healthz": (503, {"error": "no"})}, "error: unexpected health response: 503"),
        (
            {"GET /v1/healthz": HEALTHY, "GET /v1/packets?limit=1": (401, {"error": "invalid token"})},
            "error: token rejected by server: server returned 401: invalid token",
        ),
        (
            {"GET /v1/healthz": HEALTHY, "GET /v1/packets?limit=1": (500, {"error": "disk"})},
            "error: server returned 500: disk",
        ),
    ],
    ids=["no-packets-here", "unhealthy", "refused", "broken"],
)
def test_a_token_that_does_not_work_is_not_kept(own, wire, type_, answers, said):
    wire.answers = answers
    done = type_("auth", wire.host, "-", stdin=TOKEN.encode())
    assert (done.code, done.out, done.err.startswith(said)) == (1, "", True), done.err
    assert TOKEN not in done.err
    assert not wire.credentials.exists()


def test_a_server_that_is_not_there_is_said(own, type_, free_port):
    done = type_("auth", f"http://127.0.0.1:{free_port}", "-", stdin=TOKEN.encode())
    assert done.code == 4
    assert done.err.startswith(f"error: server unreachable: no server answers at http://127.0.0.1:{free_port}")


@pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")
def test_on_a_terminal_a_token_is_asked_for_and_not_shown(own, wire, at_terminal):
    wire.answers |= {"GET /v1/healthz": HEALTHY, "GET /v1/packets?limit=1": EMPTY}
    code, seen = at_terminal(["auth", wire.host, "-"], (b"Token: ", f"{TOKEN}\r".encode()))
    assert (code, TOKEN.encode() in seen, b"authenticated" in seen) == (0, False, True)
    assert kept(wire)["tokens"] == {wire.host: TOKEN}


@pytest.mark.parametrize("token", ["", "  ", "two words", "né", "a\x1bb", "x" * 5000])
def test_what_can_be_no_token_is_refused_and_not_repeated(own, wire, type_, token):
    done = type_("auth", wire.host, "-", stdin=token.encode())
    assert (done.code, wire.asked) == (2, [])
    assert done.err.startswith("error: that is no token")


@pytest.mark.parametrize(
    "host",
    [
        "memory.lan",
        "ftp://x",
        "http://",
        "http://a:port",
        "http://[::1",
        "https://ana:pw@x",
        "http://x/?a=b",
        "http://a..b",
    ],
)
def test_what_is_no_address_is_refused_and_no_password_is_repeated(own, wire, type_, host):
    done = type_("auth", host, "-", stdin=TOKEN.encode())
    assert done.code == 2
    assert "pw" not in done.err


@pytest.mark.parametrize(
    ("said", "host"),
    [
        (" https://LTM.Example.org/ ", "https://ltm.example.org"),
        ("https://ltm.example.org:443", "https://ltm.example.org"),
        ("http://ltm.example.org:8080//", "http://ltm.example.org:8080"),
        ("http://[::1]:80/base/", "http://[::1]/base"),
    ],
)
def test_one_server_has_one_spelling(said, host):
    assert host_named(said) == host


# By a code in the browser


def test_somebody_approves_the_code_and_the_token_is_kept(own, wire, type_):
    wire.answers |= {
        "POST /oauth/authorize_device": (200, GRANT),
        "POST /oauth/token": [
            (400, {"error": "authorization_pending"}),
            (200, {"access_token": TOKEN, "token_type": "Bearer", "scope": "read write"}),
        ],
    }
    done = type_("auth", wire.host)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "Open https://hub.example/device",
        "and enter the code BCDF-GHJK",
        "✓ authenticated",
        f"✓ default host set to {wire.host}",
    ]
    first, *polls = wire.asked
    assert first.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert (first.body, first.bearer) == (b"client_id=ltm-cli&scope=read+write", None)
    form = b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=dev-1&client_id=ltm-cli"
    assert [(each.line, each.body, each.bearer) for each in polls] == [("POST /oauth/token", form, None)] * 2
    assert kept(wire)["tokens"] == {wire.host: TOKEN}


@pytest.mark.skipif(sys.platform != "linux", reason="each system has its own way to open a browser")
@pytest.mark.parametrize(
    ("complete", "opened"),
    [
        ("https://hub.example/device?user_code=BCDFGHJK", "https://hub.example/device?user_code=BCDFGHJK"),
        ("", "https://hub.example/device"),
        ("file:///etc/passwd", None),
    ],
)
def test_on_a_terminal_the_browser_is_opened_at_a_web_address_only(own, wire, at_terminal, tmp_path, complete, opened):
    program = tmp_path / "xdg-open"
    program.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    program.chmod(0o755)
    wire.answers |= {
        "POST /oauth/authorize_device": (200, {**GRANT, "verification_uri_complete": complete}),
        "POST /oauth/token": (200, {"access_token": TOKEN}),
    }
    code, seen = at_terminal(["auth", wire.host], (b"BCDF-GHJK", b""))
    assert (code, b"authenticated" in seen) == (0, True), seen
    file = tmp_path / "opened"
    assert (file.read_text().strip() if file.exists() else None) == opened


def test_a_server_that_is_asked_too_often_is_asked_more_slowly(own, wire, type_, monkeypatch):
    waited = []
    monkeypatch.setattr(auth_module, "sleep", waited.append)
    slow = (400, {"error": "slow_down"})
    wire.answers |= {
        "POST /oauth/authorize_device": (200, {**GRANT, "interval": 0, "expires_in": -1}),
        "POST /oauth/token": [slow, slow, (200, {"access_token": TOKEN})],
    }
    assert type_("auth", wire.host).code == 0
    assert waited == [5, 10, 15]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"error": "access_denied"}, "(400): access_denied"),
        ({"error": "expired_token", "error_description": "too late\x1b[2J"}, "(400): too late"),
        ({}, "(400): no explanation"),
    ],
)
def test_a_refusal_ends_it_and_keeps_nothing(own, wire, type_, answer, said):
    wire.answers |= {"POST /oauth/authorize_device": (200, GRANT), "POST /oauth/token": (400, answer)}
    done = type_("auth", wire.host)
    assert (done.code, done.err) == (1, f"error: not signed in at {wire.host} {said}\n")
    assert not wire.credentials.exists()


def test_nobody_comes_in_time(own, wire, type_):
    wire.answers |= {
        "POST /oauth/authorize_device": (200, {**GRANT, "expires_in": 0.01}),
        "POST /oauth/token": (400, {"error": "authorization_pending"}),
    }
    done = type_("auth", wire.host)
    assert (done.code, "nobody approved the code in time" in done.err) == (1, True)


@pytest.mark.parametrize("interval", [float("inf"), 10**400], ids=["endless", "too large"])
def test_a_server_that_asks_for_an_endless_wait_does_not_break_the_program(own, wire, type_, monkeypatch, interval):
    waits = []
    monkeypatch.setattr(auth_module, "sleep", waits.append)
    wire.answers |= {
        "POST /oauth/authorize_device": (200, {**GRANT, "interval": interval}),
        "POST /oauth/token": (400, {"error": "access_denied"}),
    }
    assert type_("auth", wire.host).code == 1
    assert waits == [86_400.0]


@pytest.mark.parametrize(
    ("status", "grant"),
    [(404, {}), (201, GRANT), (200, {**GRANT, "user_code": ""}), (200, {**GRANT, "device_code": 7}), (200, b"[]")],
    ids=["none", "created", "no-code", "no-text", "no-object"],
)
def test_a_server_without_the_device_flow_is_named_with_the_other_way(own, wire, type_, status, grant):
    wire.answers["POST /oauth/authorize_device"] = (status, grant)
    done = type_("auth", wire.host)
    assert done.code == 1
    assert done.err.startswith(f"error: device-code request rejected ({status}): no explanation.")
    assert f"`ai-memory auth {wire.host} -`" in done.err


# This machine's own server


def test_the_own_server_gives_a_token_by_itself_and_once(own, wire, type_):
    own.answers |= {"POST /admin/ltm-tokens": (201, {"token": TOKEN}), "GET /v1/packets?limit=50": EMPTY}
    for _ in range(2):
        assert type_("ls").code == 0
    assert own.lines == ["POST /admin/ltm-tokens", *["GET /v1/packets?limit=50"] * 2]
    assert list(json.loads(own.asked[0].body)) == ["label"]
    assert own.asked[2].bearer == f"Bearer {TOKEN}"
    # It stays what is asked where nobody chose another.
    assert kept(wire) == {"default": "", "tokens": {own.host: TOKEN}}


def test_a_token_that_the_own_server_forgot_is_renewed_once(own, wire, type_):
    wire.credentials.write_text(json.dumps({"default": "", "tokens": {own.host: "old-one"}}))
    own.answers |= {
        "POST /admin/ltm-tokens": (201, {"token": TOKEN}),
        "GET /v1/packets?limit=50": [(401, {"error": "invalid token"}), EMPTY, (401, {}), (401, {"error": "no"})],
    }
    assert type_("ls").code == 0
    assert [each.bearer for each in own.asked] == ["Bearer old-one", None, f"Bearer {TOKEN}"]
    done = type_("ls")
    assert (done.code, "server returned 401: no" in done.err) == (1, True)


def test_auth_without_a_host_signs_in_at_the_own_server(own, type_):
    own.answers |= {"POST /admin/ltm-tokens": (201, {"token": TOKEN}), "GET /v1/packets?limit=1": EMPTY}
    assert type_("auth").out == "✓ authenticated\n"


def test_without_a_token_the_way_to_one_is_said_and_nothing_is_sent(own, wire, type_):
    done = type_("ls", "--host", wire.host)
    assert (done.code, wire.asked) == (1, [])
    assert done.err == f"error: not signed in at {wire.host}: run `ai-memory auth {wire.host}`\n"


# A token goes to its own server alone


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_another_host_never_gets_the_token_of_the_usual_one(wire, own, type_, monkeypatch, how):
    wire.credentials.write_text(json.dumps({"default": own.host, "tokens": {own.host: TOKEN}}))
    if how == "variable":
        monkeypatch.setenv("LTM_HOST", f"{wire.host}/")
    done = type_("ls", *(["--host", wire.host] if how == "flag" else []))
    assert (done.code, wire.asked, own.asked) == (1, [], [])


def test_a_redirect_is_followed_on_the_host_and_not_beyond_it(wire, own, type_):
    wire.credentials.write_text(json.dumps({"default": wire.host, "tokens": {wire.host: TOKEN}}))
    wire.answers |= {
        "GET /v1/packets?limit=50": (307, b"", {"Location": "/v1/list?limit=50"}),
        "GET /v1/list?limit=50": EMPTY,
        "GET /v1/packets?limit=3": (308, b"", {"Location": f"{own.host}/v1/packets"}),
        "GET /v1/packets?limit=4": (307, b"", {"Location": "/v1/packets?limit=4"}),
    }
    assert type_("ls").code == 0
    done = type_("ls", "--limit", "3")
    assert (done.code, own.asked) == (1, [])
    assert f"it points to {own.host}/v1/packets, which is another address" in done.err
    assert type_("ls", "--limit", "4").code == 1
    wire.answers["GET /v1/packets?limit=5"] = (307, b"", {"Location": "http://[::1"})
    assert type_("ls", "--limit", "5").err.startswith("error: server returned 307: no explanation: it points to")


def test_a_401_says_how_to_sign_in_again(wire, type_):
    wire.answers["GET /v1/packets?limit=50"] = (401, {"error": "invalid token"})
    assert type_("ls").err == (f"error: server returned 401: invalid token: run `ai-memory auth {wire.host}`\n")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"  plain words \n", "plain words"),
        (b'{"error": "one", "more": 2}', "one"),
        (b'{"other": 1}', '{"other": 1}'),
        (b'{"error": 7}', '{"error": 7}'),
        (b"", "no explanation"),
        (b"\xff", "\ufffd"),
        (b"x" * 9000, "x" * 4096),
    ],
    ids=["text", "json", "without", "no-text", "empty", "not-utf8", "long"],
)
def test_an_error_is_what_the_server_said(wire, type_, body, said):
    wire.answers["GET /v1/packets?limit=50"] = (500, body)
    assert type_("ls").err == f"error: server returned 500: {said}\n"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null"])
def test_a_2xx_that_is_no_json_object_is_no_server_of_packets(wire, type_, body):
    wire.answers["GET /v1/packets?limit=50"] = (200, body)
    assert type_("ls").err == "error: server returned 200 with something that is no JSON object: is the host right?\n"


# The file


def test_whoever_used_the_go_client_is_signed_in_at_its_host_and_nowhere_else(own, wire, type_, own_home):
    folder = own_home / ".config/ltm"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(f'host = "{wire.host}/"\noutput = "human"\n')
    (folder / "credentials").write_text(f"\n {TOKEN} \n")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    wire.answers["GET /v1/packets?limit=50"] = EMPTY
    assert type_("ls").code == 0
    assert wire.asked[0].bearer == f"Bearer {TOKEN}"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert not wire.credentials.exists()
    assert type_("ls", "--host", f"{wire.host}/elsewhere").code == 1


@pytest.mark.parametrize("variable", ["LTM_CONFIG_DIR", "XDG_CONFIG_HOME"])
def test_its_folder_may_be_elsewhere(own, wire, type_, tmp_path, monkeypatch, variable):
    folder = tmp_path if variable == "LTM_CONFIG_DIR" else tmp_path / "ltm"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(f'host = "{wire.host}"\n')
    (folder / "credentials").write_text(TOKEN)
    monkeypatch.setenv(variable, str(tmp_path))
    assert json.loads(type_("whoami").out) == {"host": wire.host, "token_hash8": HASH8}


@pytest.mark.parametrize("config", ["host = ", 'host = "nowhere"', "\xff"])
def test_settings_of_it_that_cannot_be_read_are_named(own, type_, own_home, config):
    folder = own_home / ".config/ltm"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_bytes(config.encode("latin-1"))
    (folder / "credentials").write_text(TOKEN)
    done = type_("ls")
    assert (done.code, done.err.startswith(f"error: what `ltm` keeps in {folder} cannot be used")) == (2, True)
    assert TOKEN not in done.err


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"default": 1, "tokens": {}}',
        '{"default": "", "tokens": {"a": 1}}',
        '{"default": "", "tokens": {"a": "b\\nc"}}',
        "\xff",
    ],
)
def test_a_damaged_file_is_named_and_left_alone(tmp_path, content):
    file = tmp_path / "credentials.json"
    file.write_bytes(content.encode("latin-1"))
    credentials = Credentials(tmp_path, tmp_path / "ltm")
    for use in (credentials.default, lambda: credentials.token("a"), lambda: credentials.keep("a", "b")):
        with pytest.raises(ConfigError, match=r"credentials\.json is damaged"):
            use()
    assert file.read_bytes() == content.encode("latin-1")


def test_each_server_has_its_own_token_and_a_new_one_replaces_only_its_own(tmp_path):
    credentials = Credentials(tmp_path / "data", tmp_path / "ltm")
    credentials.keep("https://a", "1", default=True)
    credentials.keep("https://b", "2")
    credentials.keep("https://b", "3")
    assert (credentials.default(), credentials.token("https://a"), credentials.token("https://b")) == (
        "https://a",
        "1",
        "3",
    )
    assert credentials.token("https://c") == ""
    if os.name != "nt":
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_token_is_named_by_its_hash_and_taken_without_blanks():
    assert (hash8(""), hash8("abc")) == ("", "ba7816bf")
    assert token_typed(" abc\n") == "abc"
    with pytest.raises(BadRequestError):
        token_typed("a b")
