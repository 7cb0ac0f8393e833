"""What a server of the ltm protocol answers: routes x who asks x status x body, a table that holds for any of them.

A row is a story of one or more requests. `$id`, `$team` and the like are new for each row, so rows need no order and
a server may hold anything else meanwhile. Who asks: `a` has the token that the run was given; `b` and `c` are users
that joined by invites of `a`; `nobody` sends no token, `stranger` one that nobody has.
"""

from dataclasses import dataclass, field
from typing import Any

MAX = 32_768


@dataclass(frozen=True)
class Ask:
    """One request, and what has to come back.

    Attributes:
        status: the only right one, or several.
        says: fragments of the error's text.
        is_: the JSON of the answer, whole; `has`: a part of it.
        keeps: names for values of the answer ("team.id"), which later steps of the row use as `$name`.
        at_once: so many of the same request at the same time; `status` is then {status: how many}.
        header: the header `Authorization` word for word, instead of `who`'s.
    """

    method: str
    path: str
    status: Any
    who: str = "a"
    body: Any = None
    says: tuple[str, ...] = ()
    is_: Any = None
    has: Any = None
    lacks: tuple[str, ...] = ()
    keeps: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    header: str | None = None
    at_once: int = 1
    check: Any = None


@dataclass(frozen=True)
class Later:
    """Time passes. Only a server whose clock the run can set knows this step."""

    days: int


@dataclass(frozen=True)
class Row:
    """A story. `beyond`: the reference lacks it, or does otherwise and should not."""

    name: str
    steps: tuple[Any, ...]
    beyond: bool = False

    @property
    def needs_clock(self) -> bool:
        return any(isinstance(step, Later) for step in self.steps)


def packet(packet_id="$id", **fields):
    """A small valid packet; None takes a field away."""
    whole = {
        "ltm_version": "0.2",
        "id": packet_id,
        "created_at": "2026-01-05T10:00:00Z",
        "goal": "Make the invoice total equal the sum of its lines.",
        "next_step": "Round once per invoice and run the tests of the cart.",
        **fields,
    }
    return {key: value for key, value in whole.items() if value is not None}


FULL = packet(
    parent_id="01JPARENT0000000000000000A",
    project={"name": "shop", "ref": "main"},
    success_criteria=["The tests of the cart are green."],
    constraints=["No float for money."],
    decisions=[
        {
            "what": "Round once per invoice.",
            "why": "Per line it drifts.",
            "consequences": "Lines show more digits.",
            "locked": True,
        }
    ],
    methods=[{"name": "half-even", "when_applicable": "Money is rounded.", "how": "Decimal with ROUND_HALF_EVEN."}],
    attempts=[
        {"tried": "Round each line.", "outcome": "failed", "learned": "Three lines lose a cent.", "confidence": "high"}
    ],
    open_questions=["What about vouchers?"],
    tags=["cart", "rounding"],
    provenance={
        "author_model": "some-model",
        "author_human": "ana",
        "source_hash": "sha256:" + "0" * 64,
        "confidence": "medium",
    },
)
V01 = packet(
    ltm_version="0.1", constraints=["No float for money."], decisions=[{"what": "Round once.", "why": "It drifts."}]
)


def push(status=201, *, who="a", body=None, team="", **more):
    body = packet() if body is None else body
    return Ask("POST", "/v1/packets" + (f"?team={team}" if team else ""), status, who, body, **more)


def pushed(**more):
    return push(is_={"id": "$id"}, **more)


def get(status=200, who="a", packet_id="$id", **more):
    return Ask("GET", f"/v1/packets/{packet_id}", status, who, **more)


def delete(status=204, who="a", packet_id="$id", **more):
    return Ask("DELETE", f"/v1/packets/{packet_id}", status, who, **more)


def no_packet(ask, who):
    return ask(404, who, is_={"error": "not found"})


NO_TEAM = {"error": "team not found"}
GONE = {"error": "invite expired or already consumed"}
TEAM = Ask(
    "POST",
    "/v1/teams",
    201,
    body={"name": "$team"},
    has={"team": {"name": "$team"}},
    keeps={"team_id": "team.id", "a_id": "team.owner_id"},
)
INVITE = Ask(
    "POST", "/v1/teams/$team/invites", 201, body={}, keeps={"code": "code", "url": "url", "expires": "expires_at"}
)


def joins(who):
    """`who` becomes a member of `$team`."""
    return (
        INVITE,
        Ask(
            "POST",
            "/v1/invites/$code/accept",
            201,
            who,
            {},
            has={"team": {"name": "$team"}},
            lacks=("token",),
            keeps={f"{who}_id": "user.id"},
        ),
    )


def ids(answer, known):
    """The ids of a list, of those that the row made."""
    return [row["id"] for row in answer["packets"] if row["id"] in known.values()]


def no_ids(answer, known):
    return ids(answer, known) == []


def _routes():
    """Every route that wants a token, with a body where it takes one."""
    return [
        ("POST", "/v1/packets", packet()),
        ("GET", "/v1/packets", None),
        ("GET", "/v1/packets/$id", None),
        ("DELETE", "/v1/packets/$id", None),
        ("POST", "/v1/teams", {"name": "$team"}),
        ("GET", "/v1/teams", None),
        ("DELETE", "/v1/teams/$team", None),
        ("GET", "/v1/teams/$team/members", None),
        ("DELETE", "/v1/teams/$team/members/someone", None),
        ("POST", "/v1/teams/$team/leave", {}),
        ("POST", "/v1/teams/$team/invites", {}),
    ]


def _health():
    ok = {"ok": True, "version": "0.2"}
    yield Row(
        "health needs no token",
        (Ask("GET", "/v1/healthz", 200, "nobody", is_=ok, answers={"Content-Type": "application/json"}),),
    )
    yield Row("health does not look at a token", (Ask("GET", "/v1/healthz", 200, "stranger", is_=ok),))
    yield Row("HEAD works where GET does", (Ask("HEAD", "/v1/healthz", 200, "nobody"), Ask("HEAD", "/v1/packets", 200)))
    yield Row(
        "another method is 405 and names the right ones",
        (Ask("PUT", "/v1/packets", 405, body={}, answers={"Allow": "POST"}),),
    )
    yield Row("an unknown route is 404", (Ask("GET", "/v1/nowhere", 404),))
    yield Row(
        "publishing is not served",
        (pushed(), Ask("POST", "/v1/packets/$id/publish", 404), Ask("DELETE", "/v1/packets/$id/publish", 404), get()),
    )


def _auth():
    for method, path, body in _routes():
        name = f"{method} {path}".replace("$", "")
        said = {"error": "missing bearer token"}
        yield Row(
            f"no token: {name}",
            (
                Ask(method, path, 401, "nobody", body, is_=said),
                Ask(method, path, 401, header="bearer $token", body=body, is_=said),
                Ask(method, path, 401, header="Basic $token", body=body, is_=said),
                Ask(method, path, 401, "stranger", body, is_={"error": "invalid token"}),
            ),
        )


def _push():
    yield Row(
        "a packet comes back as it was pushed",
        (pushed(body=FULL), get(is_=FULL, answers={"Content-Type": "application/json"})),
    )
    yield Row("a packet of version 0.1 stays one", (pushed(body=V01), get(is_=V01)))
    yield Row("padding goes, the rest stays", (pushed(body=b"\n  " + b"$packet" + b"  \n"), get(is_=packet())))
    yield Row(
        "empty fields go",
        (
            pushed(
                body=packet(
                    tags=[], parent_id=None, constraints=[], decisions=[{"what": "", "why": "", "locked": False}]
                )
            ),
            get(is_=packet(decisions=[{"what": "", "why": ""}])),
        ),
    )
    yield Row(
        "keys come back in the order of the format",
        (pushed(body=dict(reversed(FULL.items()))), get(check=lambda answer, _: list(answer) == _ORDER)),
    )
    yield Row(
        "signs beyond ASCII come back",
        (pushed(body=packet(goal="Größe 价格 🧾 \u2028 <&>")), get(has={"goal": "Größe 价格 🧾 \u2028 <&>"})),
    )
    for name, packet_id, there in _IDS:
        yield Row(
            f"any text is an id: {name}",
            (
                push(body=packet(packet_id), is_={"id": packet_id}),
                get(packet_id=there, is_=packet(packet_id)),
                delete(packet_id=there),
                get(404, packet_id=there),
            ),
        )
    yield Row("a packet of exactly the largest size passes", (pushed(body=("sized", MAX)), get()))
    for name, size in (("one byte", 1), ("a kilobyte", 1025), ("seven kilobytes", 8000)):
        yield Row(
            f"{name} more is refused",
            (
                push(400, body=("sized", MAX + size), says=("max is",))
                if size < 1000
                else push(400, body=("sized", MAX + size), check=lambda answer, _: bool(answer["error"])),
                no_packet(get, "a"),
            ),
        )
    for name, body, says in _BAD:
        yield Row(f"refused: {name}", (push(400, body=body, says=says), no_packet(get, "a")))
    yield Row(
        "pushed again it is replaced",
        (pushed(), pushed(body=packet(goal="Another goal.")), get(has={"goal": "Another goal."})),
    )
    yield Row(
        "pushed again it is listed as it is now",
        (
            pushed(),
            pushed(body=packet(goal="Another goal.", created_at="2026-01-06T10:00:00Z")),
            Ask(
                "GET",
                "/v1/packets?limit=500",
                200,
                check=_listed(goal="Another goal.", created_at="2026-01-06T10:00:00Z"),
            ),
        ),
        beyond=True,
    )
    yield Row(
        "a deleted packet is gone, for the next delete, too",
        (
            pushed(),
            delete(),
            no_packet(get, "a"),
            no_packet(delete, "a"),
            Ask("GET", "/v1/packets?limit=500", 200, check=no_ids),
        ),
    )
    yield Row("a deleted packet that is pushed again is back", (pushed(), delete(), pushed(), get(is_=packet())))
    yield Row("what was never there is not found", (no_packet(get, "a"), no_packet(delete, "a")))


#: Ids, and how they stand in an address.
_IDS = [
    ("27 signs, with an L", "01JS5LTM$n-27SIGNS-LONG", "01JS5LTM$n-27SIGNS-LONG"),
    ("spaces", "an id $n with spaces", "an%20id%20$n%20with%20spaces"),
    ("slashes", "id/$n/slashes", "id%2F$n%2Fslashes"),
    ("beyond ASCII", "íd-$n-æøå", "%C3%ADd-$n-%C3%A6%C3%B8%C3%A5"),
    ("escapes", "id%2F$n%20escaped", "id%252F$n%2520escaped"),
]
_ORDER = "ltm_version id parent_id created_at project goal success_criteria constraints decisions methods attempts open_questions next_step tags provenance".split()

_BAD = [
    ("nothing", b"", ("invalid json",)),
    ("no JSON", b"{", ("invalid json",)),
    ("two values", b"$packet {}", ("invalid json",)),
    ("a byte order mark", b"\xef\xbb\xbf$packet", ("invalid json",)),
    ("a list", [packet()], ("packet must be a JSON object",)),
    ("a text", "packet", ("packet must be a JSON object",)),
    ("null", b"null", ("packet must be a JSON object",)),
    ("no version", packet(ltm_version=None), ("missing required field 'ltm_version'",)),
    ("a version that is null", packet() | {"ltm_version": None}, ("missing required field 'ltm_version'",)),
    ("a version that is a number", packet(ltm_version=0.2), ("missing required field 'ltm_version'",)),
    ("a future version", packet(ltm_version="0.3"), ('unsupported ltm_version "0.3"', "0.1", "0.2")),
    ("another major version", packet(ltm_version="1.0"), ('unsupported ltm_version "1.0"',)),
    ("a version with a v", packet(ltm_version="v0.2"), ('unsupported ltm_version "v0.2"',)),
    *((f"no {name}", packet(**{name: None}), ("schema violation",)) for name in ("goal", "next_step", "created_at")),
    ("no id", packet(None), ("schema violation",)),
    *(
        (f"null as {name}", packet() | {name: None}, ("schema violation",))
        for name in ("goal", "tags", "project", "decisions", "parent_id", "provenance")
    ),
    ("an unknown field", packet(color="red"), ("schema violation", "additional")),
    (
        "an unknown field of a decision",
        packet(decisions=[{"what": "a", "why": "b", "who": "c"}]),
        ("schema violation", "additional"),
    ),
    ("a field in capitals", packet() | {"Goal": "x"}, ("schema violation", "additional")),
    ("an empty goal", packet(goal=""), ("schema violation", "minLength")),
    ("a goal of 1025 signs", packet(goal="g" * 1025), ("schema violation", "maxLength")),
    ("an id of 9 signs", packet("123456789"), ("schema violation", "minLength")),
    ("an id of 65 signs", packet("x" * 65), ("schema violation", "maxLength")),
    ("a tag with a dot", packet(tags=["v0.2"]), ("schema violation",)),
    ("17 tags", packet(tags=["t"] * 17), ("schema violation",)),
    ("an outcome of one's own", packet(attempts=[{"tried": "a", "outcome": "mixed"}]), ("schema violation",)),
    (
        "a newer field in an older version",
        packet(ltm_version="0.1", parent_id="01JPARENT0000000000000000A"),
        ("schema violation", "additional"),
    ),
    *(
        (f"the time {at}", packet(created_at=at), ())
        for at in ("yesterday", "2026-01-05", "2026-01-05T10:00:00", "2026-02-30T10:00:00Z", "2026-01-05t10:00:00z")
    ),
]


def _listed(**fields):
    return lambda answer, known: (
        [row for row in answer["packets"] if row["id"] == known["id"]] == [{"id": known["id"], **fields}]
    )


def _list():
    two = (
        push(body=packet("$id", created_at="2026-03-01T10:00:00Z")),
        push(body=packet("$id2", created_at="2026-03-03T00:30:00+02:00")),
        push(body=packet("$id3", created_at="2026-03-02T23:00:00Z")),
    )
    yield Row(
        "a list tells id, time and goal",
        (
            pushed(),
            Ask(
                "GET",
                "/v1/packets?limit=500",
                200,
                check=_listed(created_at="2026-01-05T10:00:00Z", goal=packet()["goal"]),
            ),
        ),
    )
    yield Row(
        "the newest comes first, by its own time",
        (
            *two,
            Ask(
                "GET",
                "/v1/packets?limit=500",
                200,
                check=lambda answer, known: ids(answer, known) == [known["id3"], known["id2"], known["id"]],
            ),
        ),
    )
    yield Row("a list is empty, not null", (TEAM, Ask("GET", "/v1/packets?team=$team", 200, is_={"packets": []})))
    team = "&team=$team"
    three = tuple(push(body=packet(f"$id{n}"), team="$team") for n in ("", "2", "3"))
    counts = [("1", 1), ("+2", 2), ("500", 3)]
    yield Row(
        "the limit counts",
        (
            TEAM,
            *three,
            *(
                Ask("GET", f"/v1/packets?limit={limit.replace('+', '%2B')}{team}", 200, check=_count(count))
                for limit, count in counts
            ),
        ),
    )
    odd = ("", "0", "-5", "1000", "501", "2.5", "x", "1_0", "99999999999999999999", "%D9%A1")
    yield Row(
        "a limit that cannot be meant is the usual one",
        (TEAM, *three, *(Ask("GET", f"/v1/packets?limit={limit}{team}", 200, check=_count(3)) for limit in odd)),
    )
    yield Row(
        "nobody sees another's packets in a list",
        (pushed(), Ask("GET", "/v1/packets?limit=500", 200, "b", check=no_ids)),
    )


def _count(count):
    return lambda answer, _: len(answer["packets"]) == count


def _others():
    theirs = packet(goal="Not theirs to change.")
    yield Row(
        "nobody reads or deletes another's packet",
        (pushed(), no_packet(get, "b"), no_packet(delete, "b"), get(is_=packet())),
    )
    yield Row(
        "a stolen id is refused and changes nothing",
        (pushed(), push((404, 409), who="b", body=theirs, says=("",)), get(is_=packet()), no_packet(get, "b")),
        beyond=True,
    )
    yield Row(
        "the id of a deleted packet is not for others to take",
        (
            pushed(),
            Ask("DELETE", "/v1/packets/$id", 204),
            push((404, 409), who="b", body=theirs, says=("",)),
            pushed(),
            get(is_=packet()),
        ),
        beyond=True,
    )
    yield Row(
        "a stolen id goes into no team either",
        (
            TEAM,
            *joins("b"),
            pushed(),
            push((404, 409), who="b", body=theirs, team="$team", says=("",)),
            get(is_=packet()),
        ),
        beyond=True,
    )
    yield Row(
        "an outsider cannot overwrite a team's packet",
        (TEAM, pushed(team="$team"), push((404, 409), who="b", body=theirs, says=("",)), get(is_=packet())),
        beyond=True,
    )
    yield Row(
        "a push does not move a packet to another scope",
        (
            TEAM,
            pushed(),
            push((201, 409), team="$team"),
            get(),
            Ask("GET", "/v1/packets?team=$team", 200, is_={"packets": []}),
        ),
    )


def _teams():
    yield Row(
        "a team is made and listed",
        (
            TEAM,
            Ask(
                "GET",
                "/v1/teams",
                200,
                check=lambda answer, known: (
                    [set(team) for team in answer["teams"] if team["name"] == known["team"]]
                    == [{"id", "name", "owner_id", "created_at"}]
                ),
            ),
        ),
    )
    yield Row(
        "spaces around a name go",
        (Ask("POST", "/v1/teams", 201, body={"name": "  $team "}, has={"team": {"name": "$team"}}),),
    )
    for name in ("", " ", "-dash", "_line", "Upper$n", "a b$n", "dot.$n", "é$n", "a/$n", "x" * 41):
        yield Row(
            f"no name of a team: {name.replace('$n', '').encode('ascii', 'backslashreplace').decode()!r}",
            (Ask("POST", "/v1/teams", 400, body={"name": name}, says=("",)),),
        )
    yield Row(
        "a body that names no team is refused",
        (
            *(
                Ask("POST", "/v1/teams", 400, body=body, says=says)
                for body, says in (
                    (b"{", ("invalid body",)),
                    (b"", ("invalid body",)),
                    (b'{"name": 7}', ("invalid body",)),
                    ({}, ("",)),
                )
            ),
        ),
    )
    yield Row(
        "a name is there once, for everybody",
        (
            TEAM,
            *(
                Ask("POST", "/v1/teams", 409, who, {"name": "$team"}, is_={"error": "team name already taken"})
                for who in "ab"
            ),
        ),
    )
    yield Row(
        "only one's own teams are listed",
        (
            TEAM,
            Ask(
                "GET",
                "/v1/teams",
                200,
                "b",
                check=lambda answer, known: known["team"] not in [team["name"] for team in answer["teams"]],
            ),
        ),
    )
    for name, team in (("a team that is not there", "$team"), ("a team of others", "$team2")):
        before = () if team == "$team" else (Ask("POST", "/v1/teams", 201, body={"name": "$team2"}),)
        asks = [
            ("GET", f"/v1/packets?team={team}", None),
            ("POST", f"/v1/packets?team={team}", packet()),
            ("POST", f"/v1/packets?team={team}", b"{"),
            ("GET", f"/v1/teams/{team}/members", None),
            ("POST", f"/v1/teams/{team}/invites", {}),
            ("DELETE", f"/v1/teams/{team}", None),
            ("POST", f"/v1/teams/{team}/leave", {}),
            ("DELETE", f"/v1/teams/{team}/members/someone", None),
        ]
        yield Row(
            f"{name} is not found",
            (*before, *(Ask(method, path, 404, "b", body, is_=NO_TEAM) for method, path, body in asks)),
        )
    yield Row(
        "members are told with role and time",
        (TEAM, *joins("b"), Ask("GET", "/v1/teams/$team/members", 200, "b", check=_members)),
    )
    yield Row(
        "what owners may, members may not",
        (
            TEAM,
            *joins("b"),
            Ask("DELETE", "/v1/teams/$team", 403, "b", says=("",)),
            Ask("DELETE", "/v1/teams/$team/members/$a_id", 403, "b", says=("",)),
            Ask("DELETE", "/v1/teams/$team/members/$b_id", 403, "b", says=("",)),
            Ask("POST", "/v1/teams/$team/invites", 201, "b"),
        ),
    )
    yield Row(
        "an owner cannot leave, nor be taken out",
        (
            TEAM,
            Ask("POST", "/v1/teams/$team/leave", 400, body={}, says=("",)),
            Ask("DELETE", "/v1/teams/$team/members/$a_id", 400, says=("",)),
        ),
    )
    yield Row(
        "who leaves is out",
        (
            TEAM,
            *joins("b"),
            Ask("POST", "/v1/teams/$team/leave", 204, "b", {}),
            Ask("GET", "/v1/teams/$team/members", 404, "b", is_=NO_TEAM),
        ),
    )
    yield Row(
        "who is taken out is out, once",
        (
            TEAM,
            *joins("b"),
            Ask("DELETE", "/v1/teams/$team/members/$b_id", 204),
            Ask("GET", "/v1/packets?team=$team", 404, "b", is_=NO_TEAM),
            Ask("DELETE", "/v1/teams/$team/members/$b_id", 404, is_={"error": "not a member"}),
        ),
    )
    yield Row(
        "a deleted team takes its packets along, and its name is free",
        (
            TEAM,
            pushed(team="$team"),
            Ask("DELETE", "/v1/teams/$team", 204),
            no_packet(get, "a"),
            Ask("GET", "/v1/packets?team=$team", 404, is_=NO_TEAM),
            TEAM,
        ),
    )


def _members(answer, known):
    rows = answer["members"]
    shapes = [{"user_id": row["user_id"], "role": row["role"]} for row in rows]
    return shapes == [
        {"user_id": known["a_id"], "role": "owner"},
        {"user_id": known["b_id"], "role": "member"},
    ] and all(row["display"] and row["joined_at"].endswith("Z") for row in rows)


def _team_packets():
    yield Row(
        "personal and team lists are apart",
        (
            TEAM,
            pushed(),
            push(body=packet("$id2"), team="$team"),
            Ask("GET", "/v1/packets?team=$team", 200, check=lambda answer, known: ids(answer, known) == [known["id2"]]),
            Ask("GET", "/v1/packets?limit=500", 200, check=lambda answer, known: ids(answer, known) == [known["id"]]),
        ),
    )
    yield Row(
        "every member reads a team's packet, others do not",
        (TEAM, *joins("b"), pushed(team="$team"), get(200, "b", is_=packet()), no_packet(get, "c")),
    )
    yield Row(
        "a team's owner deletes what members pushed",
        (TEAM, *joins("b"), pushed(team="$team", who="b"), delete(), no_packet(get, "b")),
    )
    yield Row(
        "a member does not delete what others pushed",
        (TEAM, *joins("b"), *joins("c"), pushed(team="$team", who="b"), no_packet(delete, "c"), get(200, "c")),
    )
    yield Row(
        "who left reads nothing, and deletes what was one's own",
        (
            TEAM,
            *joins("b"),
            pushed(team="$team", who="b"),
            Ask("POST", "/v1/teams/$team/leave", 204, "b", {}),
            no_packet(get, "b"),
            delete(204, "b"),
            no_packet(get, "a"),
        ),
    )


def _invites():
    anonymous = Ask(
        "POST",
        "/v1/invites/$code/accept",
        201,
        "nobody",
        {},
        has={"team": {"name": "$team"}},
        keeps={"new": "token", "new_id": "user.id"},
        check=lambda answer, known: (
            answer["user"]["display"] == "invited-" + answer["user"]["id"][-6:]
            and len(answer["token"]) == 48
            and answer["token"].isalnum()
        ),
    )
    works = Ask(
        "GET",
        "/v1/teams",
        200,
        header="Bearer $new",
        check=lambda answer, known: [team["name"] for team in answer["teams"]] == [known["team"]],
    )
    yield Row(
        "an invite is a code in an address",
        (
            TEAM,
            Ask(
                "POST",
                "/v1/teams/$team/invites",
                201,
                body={},
                keeps={"code": "code"},
                check=lambda answer, _: (
                    set(answer) == {"code", "url", "expires_at"}
                    and len(answer["code"]) == 48
                    and set(answer["code"]) <= set("0123456789abcdef")
                    and answer["url"].endswith("/v1/invites/" + answer["code"])
                    and answer["url"].startswith("http")
                ),
            ),
        ),
    )
    yield Row("an invite needs no body", (TEAM, Ask("POST", "/v1/teams/$team/invites", 201)))
    yield Row("who has no token becomes a user by an invite", (TEAM, INVITE, anonymous, works))
    yield Row(
        "who joins says how to be called",
        (
            TEAM,
            INVITE,
            Ask(
                "POST",
                "/v1/invites/$code/accept",
                201,
                "nobody",
                {"display": "  Ana <b> "},
                check=lambda answer, _: answer["user"]["display"] == "Ana <b>",
            ),
        ),
    )
    yield Row(
        "a body that cannot be read keeps nobody out",
        (TEAM, INVITE, Ask("POST", "/v1/invites/$code/accept", 201, "nobody", b"{")),
    )
    yield Row("who joins without a body", (TEAM, INVITE, Ask("POST", "/v1/invites/$code/accept", 201, "nobody")))
    yield Row(
        "who has a token joins as who they are",
        (
            TEAM,
            *joins("b"),
            Ask(
                "GET",
                "/v1/teams",
                200,
                "b",
                check=lambda answer, known: known["team"] in [team["name"] for team in answer["teams"]],
            ),
        ),
    )
    yield Row(
        "a member that accepts uses the invite up",
        (
            TEAM,
            INVITE,
            Ask("POST", "/v1/invites/$code/accept", 201, body={}, lacks=("token",)),
            Ask("POST", "/v1/invites/$code/accept", 410, "nobody", {}, is_=GONE),
        ),
    )
    yield Row(
        "a used invite is gone",
        (
            TEAM,
            INVITE,
            anonymous,
            Ask("POST", "/v1/invites/$code/accept", 410, "nobody", {}, is_=GONE),
            Ask("POST", "/v1/invites/$code/accept", 410, "b", {}, is_=GONE),
        ),
    )
    yield Row("an unknown invite is gone, too", (Ask("POST", "/v1/invites/$id/accept", 410, "nobody", {}, is_=GONE),))
    yield Row(
        "an invite of a deleted team is gone",
        (
            TEAM,
            INVITE,
            Ask("DELETE", "/v1/teams/$team", 204),
            Ask("POST", "/v1/invites/$code/accept", 410, "nobody", {}, is_=GONE),
        ),
    )
    yield Row(
        "sixteen at once: one joins",
        (
            TEAM,
            INVITE,
            Ask("POST", "/v1/invites/$code/accept", {201: 1, 410: 15}, "nobody", {}, at_once=16),
            Ask("GET", "/v1/teams/$team/members", 200, check=lambda answer, _: len(answer["members"]) == 2),
        ),
    )
    yield Row(
        "an unknown token makes no user, and leaves the invite",
        (
            TEAM,
            INVITE,
            Ask("POST", "/v1/invites/$code/accept", 401, "stranger", {}, is_={"error": "invalid token"}),
            anonymous,
        ),
        beyond=True,
    )
    yield Row(
        "an expired invite is gone",
        (
            TEAM,
            INVITE,
            Later(6),
            INVITE,
            Later(8),
            *(Ask("POST", "/v1/invites/$code/accept", 410, who, {}, is_=GONE) for who in ("nobody", "b")),
            Ask("GET", "/v1/teams/$team/members", 200, check=lambda answer, _: len(answer["members"]) == 1),
        ),
    )
    yield Row("an invite holds for seven days", (TEAM, INVITE, Later(6), anonymous))
    for headers, start in (
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "memory.example.org"}, "https://memory.example.org/v1/"),
        ({"X-Forwarded-Proto": "https"}, "https://$host/v1/"),
        ({}, "http://$host/v1/"),
    ):
        yield Row(
            f"the address of an invite behind {' and '.join(headers) or 'no proxy'}",
            (TEAM, Ask("POST", "/v1/teams/$team/invites", 201, body={}, headers=headers, has={"url": start + "…"})),
        )


def _slashes():
    for method, body in (("GET", None), ("POST", {"name": "$team"})):
        yield Row(
            f"{method} with a doubled slash keeps its method",
            (Ask(method, "//v1/teams", (307, 308), body=body, answers={"Location": "/v1/teams"}),),
        )


ROWS = [*_health(), *_auth(), *_push(), *_list(), *_others(), *_teams(), *_team_packets(), *_invites(), *_slashes()]
