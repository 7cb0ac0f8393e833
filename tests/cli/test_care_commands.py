"""`briefing` and `lint` as a person types them."""

import json


def test_a_briefing_shows_what_stands_and_what_changed(desk):
    desk.writes("_rules/style.md", "# Style\n")
    desk.writes("notes/vat.md", "# VAT\n")
    said = desk.says("briefing")
    assert said.startswith("default/shop: 2 pages, 0 sessions\nlast 7 days: 0 sessions, 2 pages changed\n")
    rules, changed = said.split("\nRules\n")[1].split("\nChanged last\n")
    assert "_rules/style.md  Style" in rules
    assert "notes/vat.md  VAT" in changed
    told = json.loads(desk.says("briefing", "--json", "--limit", "1"))
    assert (told["scope"], len(told["recent_pages"])) == ("default/shop", 1)


def test_lint_lists_findings_and_keeps_a_report_unless_it_is_dry(desk):
    desk.writes("notes/a.md", "# VAT\n")
    desk.writes("notes/b.md", "# VAT\n")
    lines = (
        "warning  Two pages share a title: merge them, or give each its own\n"
        "         notes/a.md\n"
        "         notes/b.md\n"
        "         VAT\n"
    )
    assert desk.says("lint", "--dry-run") == lines
    assert not desk.page("_lint/report.md").exists()
    assert desk.says("lint") == lines
    assert "`notes/a.md`, `notes/b.md`" in desk.page("_lint/report.md").read_text()
    assert json.loads(desk.says("lint", "--json"))["report"] == "_lint/report.md"
    desk.writes("notes/b.md", "# Refunds\n")
    assert desk.says("lint") == "nothing to look at\n"


def test_a_directory_without_a_project_is_told_so_and_makes_none(desk):
    for command in ("briefing", "lint"):
        code, said = desk.refuses(command)
        assert (code, "there is no project" in said) == (1, True)
    assert desk.says("list-projects", "--json").count("project_name") == 0
