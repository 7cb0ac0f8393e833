"""The verbs of packets, against a server that notes what comes over the wire."""

import json
import re
from pathlib import Path
from urllib.parse import urlencode

import pytest

from ai_memory.model import packet as packets

EXAMPLE = packets.example().encode()
ID = json.loads(EXAMPLE)["id"]
ROWS = [
    {"id": ID, "created_at": "2026-11-20T10:00:00Z", "goal": "Second\nline"},
    {"id": "01KASX4Q3D8Z6V1M9N5R7T2WCD", "created_at": "2026-11-19T10:00:00Z", "goal": "g" * 80},
]
LISTED = (200, {"packets": ROWS})
PUSHED = (201, {"id": ID})
KEY = "AKIAIOSFODNN7EXAMPLE"


def changed(**fields):
    """The sample packet with other fields, as bytes."""
    return json.dumps({**json.loads(EXAMPLE), **fields}).encode()


@pytest.fixture
def packet_file(tmp_path):
    def write(content):
        file = tmp_path / "packet.json"
        file.write_bytes(content)
        return str(file)

    return write


# What goes out


@pytest.mark.parametrize("verb", ["push", "save"])
def test_a_packet_goes_out_byte_for_byte_with_the_bearer_and_its_id_is_printed(wire, type_, packet_file, verb):
    wire.answers["POST /v1/packets"] = PUSHED
    done = type_(verb, packet_file(EXAMPLE))
    assert (done.code, done.out, done.err) == (0, f"{ID}\n", f"saved at {wire.host}\n")
    (asked,) = wire.asked
    assert (asked.body, asked.bearer) == (EXAMPLE, "Bearer token-of-other")
    assert asked.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("verb", ["push", "save"])
def test_a_packet_comes_from_standard_input(wire, type_, verb):
    wire.answers["POST /v1/packets"] = PUSHED
    assert type_(verb, "-", stdin=EXAMPLE).out == f"{ID}\n"
    assert wire.asked[0].body == EXAMPLE


@pytest.mark.parametrize("verb", ["push", "save"])
@pytest.mark.parametrize("option", ["-t", "--team"])
def test_a_team_is_named_in_the_query(wire, type_, verb, option):
    wire.answers["POST /v1/packets?team=core+team%26x"] = PUSHED
    wire.answers["GET /v1/packets?limit=500&team=core+team%26x"] = (200, {"packets": [{"id": ID}]})
    done = type_(verb, "-", option, "core team&x", stdin=EXAMPLE)
    assert (done.code, done.out, done.err) == (0, f"{ID}\n", f"saved at {wire.host}\n")


def test_a_packet_that_the_server_leaves_where_it_was_is_not_said_to_be_the_teams(wire, type_):
    wire.answers["POST /v1/packets?team=core"] = PUSHED
    wire.answers["GET /v1/packets?limit=500&team=core"] = (200, {"packets": []})
    done = type_("push", "-", "-t", "core", stdin=EXAMPLE)
    why = f"the server had packet {ID} already and keeps it out of team core"
    way = f"`ai-memory pull {ID} > FILE`, `rm {ID}`, `push FILE -t core` move it"
    assert (done.code, done.err) == (1, f"error: {why}. {way}\n")


@pytest.mark.parametrize("verb", ["push", "save"])
def test_what_is_no_packet_is_rejected_before_anything_is_sent(wire, type_, verb):
    done = type_(verb, "-", stdin=changed(goal=""))
    assert (done.code, done.out, wire.asked) == (2, "", [])
    assert done.err.startswith("error: packet rejected: schema violation: ")
    assert "minLength" in done.err


@pytest.mark.parametrize("verb", ["push", "save"])
def test_a_secret_stops_a_packet_before_anything_is_sent_and_is_not_shown(wire, type_, verb):
    done = type_(verb, "-", stdin=changed(goal=f"Use {KEY} in /etc/shop.conf"))
    assert (done.code, done.out, wire.asked) == (1, "", [])
    assert done.err.splitlines() == [
        "the packet has redactable content and is refused:",
        "  - goal/abs-path: /etc/shop.conf",
        "  - goal/aws-key: AKIA…",
        (
            "hint: take it out (`ai-memory save --edit`, or `ai-memory packet redact FILE --write COPY`), or let it "
            "through with --allow-unredacted"
        ),
        "error: redaction failed",
    ]


@pytest.mark.parametrize("verb", ["push", "save"])
def test_a_secret_travels_only_where_somebody_allows_it_and_is_named_then(wire, type_, verb):
    wire.answers["POST /v1/packets"] = PUSHED
    body = changed(goal=f"Use {KEY}")
    done = type_(verb, "-", "--allow-unredacted", stdin=body)
    assert (done.code, done.out, wire.asked[0].body) == (0, f"{ID}\n", body)
    assert done.err.splitlines()[:2] == [
        "the packet has redactable content and is let through, as you allow:",
        "  - goal/aws-key: AKIA…",
    ]


def test_a_key_that_is_there_twice_smuggles_nothing_out(wire, type_):
    wire.answers["POST /v1/packets"] = PUSHED
    doubled = EXAMPLE.replace(b'"goal":', f'"goal": "{KEY}", "goal":'.encode(), 1)
    assert type_("push", "-", stdin=doubled).code == 0
    (asked,) = wire.asked
    assert KEY.encode() not in asked.body
    assert json.loads(asked.body) == json.loads(EXAMPLE)


def test_lenient_sends_what_the_schema_refuses_and_says_so(wire, type_):
    wire.answers["POST /v1/packets"] = (400, {"error": "schema violation: no"})
    body = changed(mood="sunny")
    done = type_("push", "-", "--lenient", stdin=body)
    assert (done.code, wire.asked[0].body) == (2, body)
    assert done.err.startswith("sent although it is no packet that this program knows: schema violation")
    assert done.err.endswith("error: server returned 400: schema violation: no\n")


@pytest.mark.parametrize(
    "body",
    [
        f'{{"x": "{KEY}"}}'.encode(),
        f'{{"{KEY}": 1}}'.encode(),
        f'{{"x": "{KEY}", "x": ""}}'.encode(),
        b'{"x": [[{"y": "\\u0041KIAIOSFODNN7EXAMPLE"}]]}',
        f'{{"x": broken {KEY}'.encode(),
        b"\xff " + KEY.encode(),
        b"[" * 3000 + b'"\\u0041KIAIOSFODNN7EXAMPLE"',
        f'{{"x": "{KEY}'.encode("utf-16"),
    ],
    ids=["value", "key", "twice", "escaped", "broken", "not-utf8", "deep", "utf-16"],
)
def test_lenient_looks_for_secrets_in_whatever_it_is(wire, type_, body):
    done = type_("push", "-", "--lenient", stdin=body)
    assert (done.code, wire.asked) == (1, [])
    assert "  - aws-key: AKIA…\n" in done.err
    assert KEY not in done.err + done.out


def test_lenient_reads_a_path_with_escaped_slashes_in_json_that_breaks_off(wire, type_):
    done = type_("push", "-", "--lenient", stdin=b'{"x": "\\/etc\\/shop.conf')
    assert (done.code, wire.asked) == (1, [])
    assert "  - abs-path: /etc/shop.conf\n" in done.err


def test_what_the_server_says_is_shown_without_what_a_terminal_would_do(wire, type_):
    wire.answers["POST /v1/packets"] = (409, {"error": "taken\x1b[2J by another"})
    done = type_("push", "-", stdin=EXAMPLE)
    assert (done.code, done.err) == (1, "error: server returned 409: taken by another\n")


# Drafts of this machine's sessions


@pytest.fixture
def drafted(wire, wire_servers, monkeypatch, tmp_path):
    """The draft that the own server has of the newest session here; gives the server."""
    own = wire_servers[0]
    monkeypatch.chdir(tmp_path)

    def answer(content, session="", **more):
        query = urlencode({"cwd": str(tmp_path), **({"session": session} if session else {})})
        found = {"packet": json.loads(content), "session_id": session or "s-1", "scope": "default/shop", "saved": False}
        own.answers[f"GET /admin/packets/draft?{query}"] = (200, {**found, "refused": [], **more})
        return own

    return answer


def editor(tmp_path, monkeypatch, script):
    program = tmp_path / "editor"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(program))
    monkeypatch.delenv("VISUAL", raising=False)


def test_save_without_a_file_takes_the_draft_of_the_session_here(wire, type_, drafted):
    own = drafted(EXAMPLE)
    wire.answers["POST /v1/packets"] = PUSHED
    done = type_("save")
    assert (done.code, done.out) == (0, f"{ID}\n")
    assert done.err == f"the draft of session s-1 in default/shop\nsaved at {wire.host}\n"
    assert json.loads(wire.asked[0].body) == json.loads(EXAMPLE)
    assert [each.bearer for each in own.asked] == [None]


def test_save_takes_the_session_that_is_named(wire, type_, drafted):
    drafted(EXAMPLE, "s-2", saved=True)
    wire.answers["POST /v1/packets"] = PUSHED
    assert type_("save", "--session", "s-2").err.startswith("the packet, as it was saved, of session s-2")


def test_a_draft_with_a_local_path_stays_here_and_says_why(wire, type_, drafted):
    drafted(changed(goal="Mend /etc/shop.conf"), refused=["goal/abs-path: /etc/shop.conf"])
    done = type_("save")
    assert (done.code, wire.asked) == (1, [])
    assert "  - goal/abs-path: /etc/shop.conf\n" in done.err


def test_no_draft_is_the_server_s_sentence(wire, type_, wire_servers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    query = urlencode({"cwd": str(tmp_path)})
    wire_servers[0].answers[f"GET /admin/packets/draft?{query}"] = (404, {"error": "the session has too little"})
    done = type_("save")
    assert (done.code, wire.asked) == (1, [])
    assert done.err == "error: GET /admin/packets/draft: server returned 404: the session has too little\n"


def test_an_edited_draft_is_checked_again_and_sent(wire, type_, drafted, tmp_path, monkeypatch):
    drafted(changed(goal="Mend /etc/shop.conf"))
    editor(tmp_path, monkeypatch, 'sed -i "s|/etc/shop.conf|the settings|" "$1"; echo "$1" > ' + str(tmp_path / "name"))
    wire.answers["POST /v1/packets"] = PUSHED
    assert type_("save", "--edit").code == 0
    assert json.loads(wire.asked[0].body)["goal"] == "Mend the settings"
    assert not Path((tmp_path / "name").read_text().strip()).exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('echo "{" > "$1"', "error: packet rejected: invalid json"),
        ('sed -i "s|Show ferry|Read /etc/passwd, show ferry|" "$1"', "error: redaction failed"),
        ("exit 3", "editor: Editing failed"),
        ("true", "error: server returned 500: disk"),
    ],
    ids=["broken", "secret", "editor", "server"],
)
def test_what_was_typed_is_kept_where_it_could_not_be_sent(
    wire, type_, packet_file, tmp_path, monkeypatch, script, said
):
    wire.answers["POST /v1/packets"] = (500, {"error": "disk"})
    editor(tmp_path, monkeypatch, f'{script}; cp "$1" {tmp_path}/typed' if script != "exit 3" else script)
    done = type_("save", packet_file(EXAMPLE), "--edit")
    assert (done.code != 0, said in done.err) == (True, True), done.err
    (name,) = re.findall(r"your text is kept in (\S+):", done.err)
    assert Path(name).stat().st_mode & 0o077 == 0
    assert script == "exit 3" or Path(name).read_bytes() == (tmp_path / "typed").read_bytes()
    Path(name).unlink()


# What comes back


def test_pull_prints_the_packet_as_the_server_has_it(wire, type_):
    wire.answers[f"GET /v1/packets/{ID}"] = (200, EXAMPLE.strip())
    assert type_("pull", ID).out == EXAMPLE.decode().strip() + "\n"


@pytest.mark.parametrize(
    "command",
    [["pull", "nobody-has-it"], ["rm", "nobody-has-it"], ["resume", "nobody-has-it"]],
    ids=lambda command: command[0],
)
def test_an_id_that_nobody_has_is_said(wire, type_, command):
    done = type_(*command)
    assert (done.code, done.out, done.err) == (1, "", "error: server returned 404: not found\n")


@pytest.mark.parametrize("verb", ["pull", "rm", "resume"])
def test_an_id_with_any_sign_is_one_segment_of_the_path(wire, type_, verb):
    type_(verb, "a/b c?d#é%2f")
    assert wire.lines[0].split(" ")[1] == "/v1/packets/a%2Fb%20c%3Fd%23%C3%A9%252f"


def test_ls_is_a_table_of_id_created_and_goal(wire, type_):
    wire.answers["GET /v1/packets?limit=50"] = LISTED
    done = type_("ls")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == f"{'ID':<26}  {'CREATED':<20}  GOAL"
    assert lines[1] == f"{ID}  2026-11-20T10:00:00Z  Second line"
    assert lines[2].startswith("01KASX4Q3D8Z6V1M9N5R7T2WCD  2026-11-19T10:00:00Z  ggg")
    assert lines[2].endswith("g…")


def test_ls_as_json_is_the_body_of_the_server(wire, type_):
    body = b'{"packets": [ ],\n"more": 1}\n'
    wire.answers["GET /v1/packets?limit=7&team=core"] = (200, body)
    assert type_("ls", "--json", "--limit", "7", "-t", "core").out == body.decode()


def test_an_empty_list_says_what_would_fill_it(wire, type_):
    wire.answers["GET /v1/packets?limit=50"] = (200, {"packets": []})
    done = type_("ls")
    assert (done.code, done.out) == (0, "")
    assert done.err == f"no packets at {wire.host} yet: `ai-memory save` makes the first\n"


def test_show_has_the_labels_and_the_packets_that_it_continues(wire, type_):
    wire.answers[f"GET /v1/packets/{ID}"] = (200, changed(parent_id="parent-one-id"))
    wire.answers["GET /v1/packets/parent-one-id"] = (200, changed(id="parent-one-id", parent_id=ID, goal="Before"))
    lines = type_("show", ID).out.splitlines()
    labels = [line.split(":")[0] for line in lines[: lines.index("")]]
    assert labels == ["ID", "Created", "Spec", "Continues", "Project", "Tags"]
    assert "Published" not in labels
    titles = [line for line in lines if line and not line.startswith(" ")][len(labels) :]
    assert titles[0] == "Goal"
    assert titles[-2:] == ["Next step", "It continues"]
    # The two name each other: the chain ends where it began.
    assert lines[-2] == "  - parent-one-id  Before"
    assert lines[-1].startswith(f"  - {ID}  ")


def test_a_parent_that_is_gone_ends_the_chain(wire, type_):
    wire.answers[f"GET /v1/packets/{ID}"] = (200, changed(parent_id="parent-one-id"))
    done = type_("show", ID)
    assert (done.code, "It continues" in done.out) == (0, False)
    assert wire.lines == [f"GET /v1/packets/{ID}", "GET /v1/packets/parent-one-id"]


def test_show_says_where_a_packet_was_published(wire, type_):
    headers = {"X-LTM-Published-At": "2026-11-20T11:00:00Z", "X-LTM-Public-URL": "https://hub.example/p/1"}
    wire.answers[f"GET /v1/packets/{ID}"] = (200, changed(parent_id="gone-gone-gone"), headers)
    (line,) = [line for line in type_("show", ID).out.splitlines() if line.startswith("Published")]
    assert line.split(None, 1)[1] == "2026-11-20T11:00:00Z  https://hub.example/p/1"


def test_show_of_an_id_that_nobody_has_says_how_a_page_is_named(wire, type_):
    done = type_("show", "nobody-has-it")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"error: server returned 404: not found: no packet nobody-has-it at {wire.host}. A page is named with its .md\n"
    )


def test_show_as_json_is_the_packet(wire, type_):
    wire.answers[f"GET /v1/packets/{ID}"] = (200, EXAMPLE.strip())
    assert type_("show", ID, "--json").out == EXAMPLE.decode().strip() + "\n"


def test_rm_deletes_on_the_server(wire, type_):
    wire.answers[f"DELETE /v1/packets/{ID}"] = (204, b"")
    assert type_("rm", ID).out == f"deleted {ID}\n"


# Resume


def test_resume_with_an_id_writes_the_block(wire, type_):
    wire.answers[f"GET /v1/packets/{ID}"] = (200, EXAMPLE)
    done = type_("resume", ID)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("# Resume context")
    assert done.out == type_("example", "--resume").out


def test_resume_in_a_pipe_takes_the_newest_and_names_it(wire, type_):
    wire.answers["GET /v1/packets?limit=50&team=core"] = LISTED
    wire.answers[f"GET /v1/packets/{ID}"] = (200, EXAMPLE)
    done = type_("resume", "-t", "core")
    assert done.out.startswith("# Resume context")
    assert done.err == f"the newest packet: {ID}\n"


def test_resume_without_packets_says_how_to_make_one(wire, type_):
    wire.answers["GET /v1/packets?limit=50"] = (200, {"packets": []})
    done = type_("resume")
    assert done.code == 1
    assert done.err == f"error: there are no packets at {wire.host} yet: `ai-memory save` makes the first\n"


def test_a_packet_that_its_server_blew_up_beyond_the_limit_is_resumed(wire, type_):
    body = changed(constraints=["<" * 1000] * 30)
    blown = body.replace(b"<", b"\\u003c")
    assert len(blown) > packets.PACKET_LIMIT > len(body)
    wire.answers[f"GET /v1/packets/{ID}"] = (200, blown)
    assert "<" * 1000 in type_("resume", ID).out


def test_an_answer_that_is_no_packet_is_said(wire, type_):
    wire.answers[f"GET /v1/packets/{ID}"] = (200, b"<html>")
    done = type_("resume", ID)
    assert done.code == 1
    assert done.err.startswith(f"error: {wire.host} has a packet that this program cannot read: invalid json")


def test_the_clipboard_is_used_on_request_and_standard_output_where_there_is_none(wire, type_, tmp_path, monkeypatch):
    wire.answers[f"GET /v1/packets/{ID}"] = (200, EXAMPLE)
    monkeypatch.setenv("PATH", str(tmp_path))
    bare = type_("resume", ID, "--copy")
    assert (bare.code, bare.out) == (0, type_("resume", ID).out)
    assert bare.err.startswith("this machine has no clipboard program")
    program = tmp_path / "xclip"
    program.write_text(f"#!/bin/sh\n/bin/cat > {tmp_path}/copied\n")
    program.chmod(0o755)
    done = type_("resume", ID, "--copy")
    assert (done.out, (tmp_path / "copied").read_text()) == ("", bare.out)
    assert (
        done.err
        == f"✓ packet …{ID[-8:]} is on the clipboard ({len(bare.out)} characters): paste it into the next agent\n"
    )
    assert type_("resume", ID, "--copy", "--no-copy").out == bare.out
    program.write_text("#!/bin/sh\nexit 3\n")
    failed = type_("resume", ID, "--copy")
    assert (failed.code, failed.out) == (0, bare.out)
    assert failed.err.startswith("the clipboard was not reached")
