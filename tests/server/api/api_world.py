"""A small memory at a time that stands still, and a client of its API that holds each answer to the document."""

import http.client
import json
import re
from datetime import UTC, datetime, timedelta
from email.message import Message
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import jsonschema
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from ai_memory.memory.intake import Delivery
from ai_memory.memory.pages import Fields, Writer

ANA = Writer("claude-code", "ana")
ONE = "6f8a2f0c-5f63-4f0e-9d0c-0d8f6a3f0001"
TWO = "6f8a2f0c-5f63-4f0e-9d0c-0d8f6a3f0002"


class Answer(NamedTuple):
    status: int
    headers: Message
    text: str
    json: Any


class Still:
    """The time, which passes only where a test says so."""

    def __init__(self):
        self.now = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)

    def __call__(self):
        return self.now

    def later(self, **time):
        self.now += timedelta(**time)


class Client:
    """Asks `/api/v1` and holds each answer to what the document says of it."""

    def __init__(self, own, **headers):
        self.own, self.headers = own, headers
        self.document = json.loads(self.plain("GET", "/api/v1/openapi.json").text)
        registry = Registry().with_resource("urn:api", DRAFT202012.create_resource(self.document))
        self._checks = jsonschema.Draft202012Validator, registry
        self._paths = [
            (
                re.compile(
                    re.sub(r"\\\{(\w+)\\\}", lambda part: ".+" if part[1] == "path" else "[^/]+", re.escape(path))
                ),
                path,
            )
            for path in self.document["paths"]
        ]

    def plain(self, method, path, headers=None, body=None):
        """Ask, whatever comes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.own.port, timeout=20)
        try:
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read().decode()
            is_json = answer.headers.get_content_type() == "application/json" and text
            return Answer(answer.status, answer.headers, text, json.loads(text) if is_json else None)
        finally:
            connection.close()

    def get(self, path, status=200, headers=None, **query):
        return self._held("GET", path, status, headers, None, query)

    def post(self, path, body, status=200, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._held("POST", path, status, {"Content-Type": "application/json", **(headers or {})}, data, {})

    def _held(self, method, path, status, headers, body, query):
        there = "/api/v1" + path + (f"?{urlencode(query, doseq=True)}" if query else "")
        answer = self.plain(method, there, headers, body)
        assert answer.status == status, answer.text
        (described,) = [known for pattern, known in self._paths if pattern.fullmatch(path)][:1]
        place = ["paths", described, method.lower(), "responses", str(status)]
        said = self._at(place)
        if "$ref" in said:
            place = said["$ref"].removeprefix("#/").split("/")
            said = self._at(place)
        if "content" not in said:
            assert answer.text == ""
            return answer
        kind = answer.headers.get_content_type()
        assert kind in said["content"]
        if kind == "application/json":
            pointer = "/".join(
                quote(part.replace("~", "~0").replace("/", "~1")) for part in [*place, "content", kind, "schema"]
            )
            validator, registry = self._checks
            checker = validator(
                {"$ref": f"urn:api#/{pointer}"}, registry=registry, format_checker=validator.FORMAT_CHECKER
            )
            checker.validate(answer.json)
        return answer

    def _at(self, place):
        found = self.document
        for part in place:
            found = found[part]
        return found


def write(own, project, path, body, workspace="default", **fields):
    memory = own.memory
    home = memory.projects.called(workspace, project) or memory.projects.create(workspace, project)
    return memory.pages.write(home, path, body, Fields(**fields), ANA)


def says(own, session, event, agent="claude-code", **body):
    own.clock.later(seconds=1)
    query = {"agent": agent, "event": event, "cwd": "/srv/shop", "workspace": "default", "project": "shop"}
    query["ingest_key"] = f"{session}-{own.clock().timestamp()}"
    (outcomes,) = own.memory.intake.record([Delivery(query, json.dumps({"session_id": session, **body}).encode())])
    assert [each.what for each in outcomes] == ["stored"]


def works(own, session, prompt, **where):
    says(own, session, "session-start", source="startup", **where)
    says(own, session, "user-prompt", prompt=prompt, **where)
    says(own, session, "post-tool-use", tool_name="Bash", tool_input={"command": "make"}, **where)
    says(own, session, "stop", last_assistant_message="Rounded per invoice.", **where)


def fill(own):
    """Write what the tests ask for; the first pages are 40 days older than the rest."""
    write(own, "atlas", "notes/old.md", "# Old\n\nNobody reads this.\n", kind="session_log", tier="episodic")
    write(own, "atlas", "concepts/index.md", "# Index\n\nThe saffron is sorted.\n")
    write(own, "atlas", "decisions/0002-tree.md", "# Tree choice\n\nA tree.\n")
    own.clock.later(days=40)
    write(own, "atlas", "_rules/style.md", "# Style\n\nShort lines.\n")
    own.clock.later(minutes=1)
    write(own, "infra", "runbooks/wal.md", "# The log\n\nsaffron, too\n")
    own.clock.later(minutes=1)
    write(
        own,
        "atlas",
        "decisions/0003-index.md",
        "---\nsupersedes: decisions/0002-tree.md\nsince: 2026-01-05\n---\n# Index choice\n\n"
        "See [[concepts/index.md]], [[infra:runbooks/wal.md]] and [[nowhere/at-all.md]].\n",
        tags=["adr"],
        pinned=True,
    )
    own.clock.later(minutes=1)
    write(own, "twins", "notes/a.md", "# Twin\n")
    write(own, "twins", "notes/b.md", "# Twin\n")
    write(own, "solo", "notes/only.md", "# Only\n\nsaffron far away\n", workspace="lab")
    own.memory.projects.create("lab", "empty")
    works(own, ONE, "Which vouchers?")
    says(own, ONE, "session-end", reason="exit")
    works(own, TWO, "Round the saffron bill.", agent="codex")
    own.memory.sessions.settle()
