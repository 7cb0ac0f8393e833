"""A server of the ltm protocol: any that the run names (`--ltm-url`, `--ltm-token`), else our own on loopback."""

import http.client
import json
import os
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from tests.own_server import served

TOKEN = "the-token-of-the-first-user"


class Peer:
    """One server and its users' tokens; a request is one connection, as raw as the standard library allows."""

    def __init__(self, url, token, later=None):
        self.url = urlsplit(url)
        self.tokens = {"a": token, "stranger": "0" * 48}
        self.later = later

    def ask(self, method, path, body=None, headers=None):
        kind = http.client.HTTPSConnection if self.url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.url.hostname, self.url.port, timeout=30)
        try:
            connection.request(method, self.url.path.rstrip("/") + path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()

    def seed(self):
        """Make the users b and c, who are in no team."""
        team = f"seed-{os.urandom(4).hex()}"
        owner = {"Authorization": f"Bearer {self.tokens['a']}", "Content-Type": "application/json"}

        def does(method, path, status, headers=owner, body=b"{}"):
            answered, _, content = self.ask(method, path, body, headers)
            assert answered == status, (method, path, answered, content)
            return json.loads(content) if content else None

        does("POST", "/v1/teams", 201, body=json.dumps({"name": team}).encode())
        for who in "bc":
            code = does("POST", f"/v1/teams/{team}/invites", 201)["code"]
            self.tokens[who] = does("POST", f"/v1/invites/{code}/accept", 201, {})["token"]
        does("DELETE", f"/v1/teams/{team}", 204)


@pytest.fixture(scope="session")
def peer(request, tmp_path_factory):
    with ExitStack() as stack:
        if url := request.config.getoption("ltm_url"):
            found = Peer(url, request.config.getoption("ltm_token") or os.environ.get("LTM_TOKEN", ""))
        else:
            own = stack.enter_context(served(tmp_path_factory, auth__bearer_token=TOKEN))
            found = Peer(own.url, TOKEN, own.clock.later)
        found.seed()
        yield found
