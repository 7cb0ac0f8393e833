"""`/v1` byte for byte: what the Go client sends is answered as it expects, and nothing depends on our own client."""

import json
import logging
import re
import socket
from contextlib import closing

import pytest

from ai_memory.memory.packets import OWNER
from ai_memory.memory.pages import NOBODY
from ai_memory.model.packet import parse
from ai_memory.model.packet_page import page_path, page_text
from ai_memory.model.scope import Routing
from tests.own_server import served

TOKEN = "the-token-of-who-runs-the-server"
GO = "User-Agent: Go-http-client/1.1\r\n"
PACKET = {
    "ltm_version": "0.2",
    "id": "01JGOCLIENT000000000000000",
    "created_at": "2026-01-05T10:00:00Z",
    "goal": "Make the total right.",
    "next_step": "Round once per invoice.",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory, auth__bearer_token=TOKEN) as own:
        yield own


class Wire:
    """One connection, as the Go client keeps it open between its requests."""

    def __init__(self, port):
        self._port = port
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._file = self._socket.makefile("rb")

    def close(self):
        self._file.close()
        self._socket.close()

    def sends(self, data):
        self._socket.sendall(data)
        return self.hears()

    def asks(self, method, target, body=None, *, bearer=TOKEN, kind="application/json", length=True):
        """Send a request with the headers of Go's HTTP client, in its order."""
        head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n{GO}"
        if length and (body is not None or method == "POST"):
            head += f"Content-Length: {len(body or b'')}\r\n"
        if bearer:
            head += f"Authorization: Bearer {bearer}\r\n"
        if body is not None:
            head += f"Content-Type: {kind}\r\n"
        return self.sends(f"{head}Accept-Encoding: gzip\r\n\r\n".encode() + (body or b""))

    def hears(self):
        """Read one answer: its status line, its headers, its body."""
        status = self._file.readline().decode().rstrip("\r\n")
        headers = {}
        while line := self._file.readline().decode().rstrip("\r\n"):
            name, _, value = line.partition(": ")
            headers[name] = value
        return status, headers, self._file.read(int(headers.get("Content-Length", 0)))


@pytest.fixture
def wire(server):
    with closing(Wire(server.port)) as wire:
        yield wire


def pushes(wire, **fields):
    return wire.asks("POST", "/v1/packets", json.dumps({**PACKET, **fields}).encode())


def test_a_packet_goes_in_and_out_on_one_connection(wire):
    status, headers, body = pushes(wire)
    assert (status, body) == ("HTTP/1.1 201 Created", b'{\n  "id": "01JGOCLIENT000000000000000"\n}\n')
    assert headers["Content-Type"] == "application/json"
    assert "Content-Encoding" not in headers
    status, headers, body = wire.asks("GET", f"/v1/packets/{PACKET['id']}")
    assert (status, headers["Content-Type"]) == ("HTTP/1.1 200 OK", "application/json")
    assert body.decode() == json.dumps(PACKET, indent=2)
    assert not {name for name in headers if name.startswith("X-LTM-")}
    status, _, body = wire.asks("GET", "/v1/packets?limit=1")
    row = '{\n      "created_at": "2026-01-05T10:00:00Z",\n      "goal": "Make the total right.",\n      "id": "01JGOCLIENT000000000000000"\n    }'
    assert (status, body.decode()) == ("HTTP/1.1 200 OK", f'{{\n  "packets": [\n    {row}\n  ]\n}}\n')
    status, headers, body = wire.asks("DELETE", f"/v1/packets/{PACKET['id']}")
    assert (status, body, "Content-Type" in headers) == ("HTTP/1.1 204 No Content", b"", False)
    status, _, body = wire.asks("GET", f"/v1/packets/{PACKET['id']}")
    assert (status, body) == ("HTTP/1.1 404 Not Found", b'{\n  "error": "not found"\n}\n')


def test_signing_in_with_a_token_probes_health_and_a_list(wire):
    status, _, body = wire.asks("GET", "/v1/healthz", bearer="")
    assert (status, body) == ("HTTP/1.1 200 OK", b'{\n  "ok": true,\n  "version": "0.2"\n}\n')
    assert wire.asks("GET", "/v1/packets?limit=1")[0] == "HTTP/1.1 200 OK"
    status, _, body = wire.asks("GET", "/v1/packets?limit=1", bearer="wrong")
    assert (status, body) == ("HTTP/1.1 401 Unauthorized", b'{\n  "error": "invalid token"\n}\n')


def test_posts_without_a_body_say_that_it_is_empty(wire):
    assert wire.asks("POST", "/v1/teams", b'{"name": "no-bodies"}')[0] == "HTTP/1.1 201 Created"
    status, _, body = wire.asks("POST", "/v1/teams/no-bodies/invites")
    assert status == "HTTP/1.1 201 Created"
    code = json.loads(body)["code"]
    assert wire.asks("POST", f"/v1/invites/{code}/accept", bearer="")[0] == "HTTP/1.1 201 Created"
    status, _, body = wire.asks("POST", "/v1/teams/no-bodies/leave")
    assert (status, list(json.loads(body))) == ("HTTP/1.1 400 Bad Request", ["error"])
    status, headers, _ = wire.asks("POST", "/v1/packets/01JGOCLIENT000000000000000/publish")
    assert (status, headers["Content-Type"]) == ("HTTP/1.1 404 Not Found", "text/plain; charset=utf-8")


@pytest.mark.parametrize("signs", ["!$&'()*+,;=:@-._~", "a+b c", "größer", "100%25", "q%3Fa%23b"])
def test_an_id_stands_in_an_address_as_go_writes_it(wire, signs):
    # Go leaves what may stand in a path, and escapes the rest.
    plain = signs.replace("%25", "%").replace("%3F", "?").replace("%23", "#")
    target = signs.replace(" ", "%20").replace("ö", "%C3%B6").replace("ß", "%C3%9F")
    assert pushes(wire, id=f"id-of-many-{plain}")[0] == "HTTP/1.1 201 Created"
    status, _, body = wire.asks("GET", f"/v1/packets/id-of-many-{target}")
    assert (status, json.loads(body)["id"]) == ("HTTP/1.1 200 OK", f"id-of-many-{plain}")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_host_with_a_slash_at_its_end_leads_to_the_same_place(wire, method):
    body = json.dumps({**PACKET, "id": "01JSLASHES0000000000000000"}).encode() if method == "POST" else None
    status, headers, _ = wire.asks(method, "//v1/packets?limit=1", body)
    assert (status, headers["Location"]) == ("HTTP/1.1 307 Temporary Redirect", "/v1/packets?limit=1")
    assert wire.asks(method, headers["Location"], body)[0].startswith("HTTP/1.1 20")


def test_an_address_of_elsewhere_is_never_where_a_redirect_leads(wire):
    for target in ("//evil.example/v1/packets", "///evil.example//v1/", "/\\evil.example/v1//x"):
        status, headers, _ = wire.asks("GET", target)
        assert not headers.get("Location", "/v1/").startswith(("//", "http")), (target, status, headers)
        assert status == "HTTP/1.1 404 Not Found"


def test_what_is_not_there_is_plain_text_and_needs_no_token(wire):
    status, headers, _ = wire.asks("GET", "/v1/unknown", bearer="")
    assert (status, headers["Content-Type"]) == ("HTTP/1.1 404 Not Found", "text/plain; charset=utf-8")
    status, headers, _ = wire.asks("PUT", "/v1/packets", b"{}", bearer="")
    assert (status, sorted(headers["Allow"].split(","))) == ("HTTP/1.1 405 Method Not Allowed", ["GET", "HEAD", "POST"])


def test_head_says_what_get_would_without_its_body(wire):
    pushes(wire, id="01JHEAD0000000000000000000")
    head = f"HEAD /v1/packets/01JHEAD0000000000000000000 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    wire._socket.sendall(head.encode())
    answer = wire._file.read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")


def test_a_body_in_pieces_of_unknown_length_is_taken(wire):
    body = json.dumps({**PACKET, "id": "01JPIECES00000000000000000"}).encode()
    head = f"POST /v1/packets HTTP/1.1\r\nHost: 127.0.0.1\r\n{GO}Authorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:7], body[7:]))
    assert wire.sends(head.encode() + pieces + b"0\r\n\r\n")[0] == "HTTP/1.1 201 Created"


@pytest.mark.parametrize(
    ("header", "body"),
    [
        pytest.param("Content-Encoding: gzip\r\nContent-Length: 5", b"abcde", id="not what its encoding says"),
        pytest.param("Content-Length: 5000", b'{"lt', id="cut off"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_and_is_no_fault_of_the_server(wire, server, caplog, header, body):
    caplog.set_level(logging.INFO, "ai_memory.server")
    head = f"POST /v1/packets HTTP/1.1\r\nHost: 127.0.0.1\r\n{GO}Authorization: Bearer {TOKEN}\r\n{header}\r\n\r\n"
    wire._socket.sendall(head.encode() + body)
    if "gzip" in header:
        status, _, answer = wire.hears()
        assert status == "HTTP/1.1 400 Bad Request"
        assert json.loads(answer)["error"] == "read body: it is not encoded as its headers say"
    else:
        # Who went away hears nothing.
        wire._socket.shutdown(socket.SHUT_WR)
        assert wire.hears()[0] == ""
    with closing(Wire(server.port)) as other:
        assert other.asks("GET", "/v1/packets")[0] == "HTTP/1.1 200 OK"
    ours = [record for record in caplog.records if record.name.startswith("ai_memory.")]
    assert [record.getMessage() for record in ours if record.levelno >= logging.ERROR] == []


def test_a_body_that_never_comes_is_given_up(wire, monkeypatch):
    monkeypatch.setattr("ai_memory.server.wire._BODY_SECONDS", 0.05)
    head = f"POST /v1/packets HTTP/1.1\r\nHost: 127.0.0.1\r\n{GO}Authorization: Bearer {TOKEN}\r\nContent-Length: 5000\r\n\r\n"
    wire._socket.sendall(head.encode() + b'{"lt')
    status, _, answer = wire.hears()
    assert (status, json.loads(answer)["error"]) == (
        "HTTP/1.1 400 Bad Request",
        "read body: it is not here after 0.05 s",
    )


@pytest.mark.parametrize("size", [33_000, 40_000, 400_000])
def test_a_packet_that_is_too_large_is_refused_with_what_would_be_right(wire, size):
    body = json.dumps({**PACKET, "id": "01JLARGE000000000000000000"}).encode()
    status, _, answer = wire.asks("POST", "/v1/packets", body.ljust(size))
    assert status == "HTTP/1.1 400 Bad Request"
    assert "max is 32768" in json.loads(answer)["error"]


def test_what_holds_a_token_or_a_code_is_kept_by_no_cache(wire):
    wire.asks("POST", "/v1/teams", b'{"name": "no-caches"}')
    _, headers, body = wire.asks("POST", "/v1/teams/no-caches/invites", b"{}")
    assert headers["Cache-Control"] == "no-store"
    _, headers, _ = wire.asks("POST", f"/v1/invites/{json.loads(body)['code']}/accept", b"{}", bearer="")
    assert headers["Cache-Control"] == "no-store"


def test_the_log_has_a_line_a_request_and_no_secret(wire, caplog):
    caplog.set_level(logging.INFO, "ai_memory.server.wire")
    wire.asks("POST", "/v1/teams", b'{"name": "in-the-log"}')
    code = json.loads(wire.asks("POST", "/v1/teams/in-the-log/invites", b"{}")[2])["code"]
    token = json.loads(wire.asks("POST", f"/v1/invites/{code}/accept", b"{}", bearer="")[2])["token"]
    wire.asks("GET", "/v1/packets?limit=1&team=in-the-log", bearer=token)
    wire.asks("GET", "/v1/packets/%0Aforged%20line%20of%20a%20log")
    lines = [re.sub(r"\d+\.\d ms", "… ms", record.getMessage()) for record in caplog.records]
    assert lines == [
        "POST /v1/teams 201 … ms",
        "POST /v1/teams/in-the-log/invites 201 … ms",
        f"POST /v1/invites/{code[:6]}…/accept 201 … ms",
        "GET /v1/packets 200 … ms",
        "GET /v1/packets/%0Aforged%20line%20of%20a%20log 404 … ms",
    ]


def test_a_user_of_the_file_of_users_is_a_user_here(wire, server):
    file = server.memory.settings.user_tokens
    file.write_text(json.dumps({"token-of-the-file": "ana"}))
    file.chmod(0o600)
    body = json.dumps({**PACKET, "id": "01JOFTHEFILE00000000000000"}).encode()
    assert wire.asks("POST", "/v1/packets", body, bearer="token-of-the-file")[0] == "HTTP/1.1 201 Created"
    assert server.memory.packets.get("ana", "01JOFTHEFILE00000000000000").owner == "ana"
    file.write_text("{}")
    assert wire.asks("GET", "/v1/packets", bearer="token-of-the-file")[0] == "HTTP/1.1 401 Unauthorized"


@pytest.mark.parametrize(
    ("next_step", "status"), [("Round once.", "200 OK"), ("Read /etc/shop/rates, then round.", "409 Conflict")]
)
def test_a_draft_is_read_unless_it_holds_what_may_not_travel(wire, server, next_step, status):
    packet = parse(
        json.dumps({**PACKET, "id": f"01JDRAFT0000000000000000{status[0]}0", "next_step": next_step}).encode()
    )
    project, path = server.memory.projects.ensure(Routing()).project, page_path(packet.id)
    server.memory.pages.write_several(project, {path: page_text(packet, OWNER, draft=True)}, NOBODY, subject="a draft")
    answered, _, body = wire.asks("GET", f"/v1/packets/{packet.id}")
    assert answered == f"HTTP/1.1 {status}"
    if status == "409 Conflict":
        assert f"next_step/abs-path: /etc/shop/rates. Edit {path}" in json.loads(body)["error"]
    assert packet.id.encode() not in wire.asks("GET", "/v1/packets?limit=500")[2]
    assert b"/etc" not in wire.asks("GET", "/v1/packets?limit=500")[2]


def test_the_host_is_looked_at_before_the_token(server):
    with closing(Wire(server.port)) as wire:
        head = f"GET /v1/packets HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        assert wire.sends(head.encode())[0] == "HTTP/1.1 403 Forbidden"


def test_a_server_of_packets_alone_serves_nothing_else_under_any_name(tmp_path_factory):
    with served(tmp_path_factory, packets_token="of-this-run") as own, closing(Wire(own.port)) as wire:
        token, _ = own.memory.accounts.issue("Ana")

        def status(target, bearer, host="packets.example"):
            return wire.sends(
                f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {bearer}\r\n\r\n".encode()
            )[0][9:12]

        assert status("/v1/packets", token) == "200"
        assert status("/admin/ltm-tokens", "of-this-run") == "200"
        assert status("/admin/ltm-tokens", token) == "401"
        for target in ("/admin/status", "/handoff", "/hook", "/mcp", "/healthz", "/search"):
            assert status(target, "of-this-run") == status(target, token) == status(target, "nobody") == "404", target


def test_the_external_address_is_in_invites_and_its_host_is_answered(tmp_path_factory):
    settings = {"auth__bearer_token": TOKEN, "external_url": "https://memory.example.org/"}
    with served(tmp_path_factory, **settings) as own, closing(Wire(own.port)) as wire:
        wire.asks("POST", "/v1/teams", b'{"name": "crew"}')
        head = f"POST /v1/teams/crew/invites HTTP/1.1\r\nHost: memory.example.org\r\nOrigin: https://memory.example.org\r\nX-Forwarded-Host: other.example\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 0\r\n\r\n"
        status, _, body = wire.sends(head.encode())
        invite = json.loads(body)
        assert (status, invite["url"]) == (
            "HTTP/1.1 201 Created",
            f"https://memory.example.org/v1/invites/{invite['code']}",
        )
