"""`search` at a terminal."""

import json


def test_help_teaches_what_can_be_asked(desk):
    text = desk.says("search", "--help")
    for piece in ('"exact words"', "path:decisions/", "kind:gotcha", "tag:", "since:", "before:", "--all", "--explain"):
        assert piece in text
    assert "  path:decisions/       pages below a folder" in text


def test_filters_narrow_and_a_hit_says_how_it_came_there(desk):
    desk.writes("decisions/vat.md", "# VAT\n\nRounding per line.")
    desk.writes("notes/vat.md", "# Note\n\nRounding, later.")
    assert desk.says("search", "rounding path:decisions/").splitlines()[:2] == [
        "VAT",
        "  default/shop  decisions/vat.md",
    ]
    done = desk.run("search", "rounding kind:decision", "--explain")
    assert b"found by its words" in done.stderr
    assert b"pages: number 1" in done.stderr
    assert [hit["path"] for hit in json.loads(desk.says("search", "kind:note", "--json"))] == ["notes/vat.md"]


def test_other_projects_are_searched_on_request(desk):
    desk.writes("a.md", "saffron")
    desk.says("write-page", "--path", "b.md", "--body", "saffron", "--workspace", "default", "--project", "bank")
    assert "bank" not in desk.says("search", "saffron")
    assert "bank" in desk.says("search", "saffron", "--all")
    assert "bank" in desk.says("search", "saffron", "-s", "default/shop", "-s", "default/bank")
    assert desk.refuses("search", "saffron", "--all", "-s", "default/shop")[0] == 2


def test_nothing_found_is_said_and_is_no_error(desk):
    desk.writes("a.md", "saffron")
    assert desk.says("search", "coriander") == "no page or session says anything of 'coriander'\n"
