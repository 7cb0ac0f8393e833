import html.parser
import re
import time
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pygments.lexers._mapping import LEXERS

from ai_memory.model.links import Link, links_of
from ai_memory.server.web.markdown import _LANGUAGES, LAID_OUT, SHOWN, Heading, anchor_of, apart, rendered


class Tree(html.parser.HTMLParser):
    """What a browser would see: elements with their attributes and texts; tells of what does not nest."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert not (tag == "a" and "a" in self.open), "a link in a link"
        self.elements.append((tag, dict(attrs)))
        if tag not in ("br", "hr", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return "".join(self.words)

    def attributes(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def addresses(self):
        return [attrs["href"] for attrs in self.attributes("a")]

    @property
    def ids(self):
        return [attrs["id"] for _, attrs in self.elements if "id" in attrs]


def address(link, fragment):
    where = ":".join(part for part in (link.workspace, link.project, link.path) if part)
    return f"/w/{where}" + (f"#{anchor_of(fragment)}" if fragment else "")


def shown(body, *, title="The title", path="decisions/a.md", address=address):
    return rendered(path, title, body, address)


def tree(body, **flags):
    return Tree(shown(body, **flags).html)


# Markdown


def test_a_page_is_laid_out():
    page = shown(
        "Text **bold** *slanted* ~~gone~~ `code`  \nline\n\n## Part *one*\n\n> said\n\n3. three\n4. four\n\n---\n"
        "| a | b |\n|--:|---|\n| 1 | 2 |\n"
    )
    assert page.html == (
        "<p>Text <strong>bold</strong> <em>slanted</em> <s>gone</s> <code>code</code><br>line</p>\n"
        '<h2 id="h-part-one">Part <em>one</em></h2>\n'
        "<blockquote><p>said</p>\n</blockquote>\n"
        '<ol start="3"><li>three</li>\n<li>four</li>\n</ol>\n<hr>\n'
        '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table><thead><tr>'
        '<th class="right">a</th>\n<th>b</th>\n</tr>\n</thead>\n<tbody><tr><td class="right">1</td>\n<td>2</td>\n</tr>\n'
        "</tbody>\n</table></div>\n"
    )
    assert page.headings == (Heading(2, "Part one", "h-part-one"),)
    assert (page.links, page.is_whole) == ((), True)


def test_an_empty_page_shows_nothing():
    assert shown("") == shown("\n\n")
    assert shown("").html == ""


def test_tasks_are_boxes_that_say_what_they_are_for():
    seen = tree("- [x] write *it* [[down]]\n- [ ] rest\n- [ ]\n- no task")
    assert seen.attributes("input") == [
        {"type": "checkbox", "disabled": "", "checked": "", "aria-label": "write it down"},
        {"type": "checkbox", "disabled": "", "aria-label": "rest"},
    ]
    assert "[x]" not in seen.text


def test_footnotes_lead_there_and_back():
    seen = tree("one[^a] two[^a] three[^b]\n\n[^b]: second\n[^a]: first [[x]]\n[^c]: that nothing points to")
    assert "that nothing points to" in seen.text
    assert len(seen.ids) == len(set(seen.ids))
    assert {place.removeprefix("#") for place in seen.addresses if place[0] == "#"} == set(seen.ids) - {"fn3"}


def test_a_footnote_in_a_link_is_no_link_in_a_link():
    seen = tree("[text[^a]](y.md)\n\n[^a]: note")
    assert seen.addresses == ["/w/decisions/y.md", "#fn1-0"]


@pytest.mark.parametrize(
    ("fence", "name", "is_coloured"),
    [
        ("python", "language-python", True),
        ("Python title=x", "language-python", True),
        ("mermaid", "language-mermaid", False),
        ('x"onclick=y', "language-x", False),
        ("", None, False),
    ],
    ids=["python", "more words", "mermaid", "hostile", "none"],
)
def test_code_is_coloured_by_classes_where_its_language_is_known(fence, name, is_coloured):
    seen = tree(f"```{fence}\nimport os < 1\n```")
    assert [attrs.get("class") for attrs in seen.attributes("code")] == [name]
    assert bool(seen.attributes("span")) == is_coloured
    assert seen.attributes("pre") == [{"tabindex": "0"}]
    assert seen.text.strip() == "import os < 1"


def test_every_language_that_is_coloured_is_one_that_pygments_knows():
    assert {alias for _, _, aliases, *_ in LEXERS.values() for alias in aliases} >= _LANGUAGES


def test_long_code_is_plain():
    assert tree("```python\n" + "import os\n" * 1001 + "```").attributes("span") == []


def test_code_that_is_slow_to_colour_is_plain():
    begun = time.process_time()
    seen = tree("```c\n" + "\n" * 9_000 + "x\n```\n\n```c\nint y;\n```")
    assert time.process_time() - begun < 3  # minutes without a limit
    assert seen.text.split() == ["x", "int", "y;"]


@pytest.mark.parametrize("blanks", [" ", "\t", "\n", "\n "], ids=["blanks", "tabs", "lines", "both"])
def test_code_with_thousands_of_blanks_takes_no_time(blanks):
    begun = time.thread_time()
    tree("```c\na" + blanks * (9_000 // len(blanks)) + "b\n```")
    assert time.thread_time() - begun < 1  # eight seconds if it were coloured


@pytest.mark.parametrize("language", ["bash", "dockerfile", "fish", "make", "scala", "zsh"])
@pytest.mark.parametrize("opening", ["$'", '"'], ids=["dollar", "quote"])
def test_a_text_without_an_end_is_not_looked_through_for_ever(language, opening):
    code = f"RUN \\\n\ta {opening}" + "\\" * 50
    begun = time.thread_time()
    seen = tree(f"```{language}\n{code}\n```")
    assert time.thread_time() - begun < 0.5  # seconds, and with ten more for ever
    assert seen.text.split() == code.split()


# Headings


@pytest.mark.parametrize(
    ("title", "body", "is_left_out"),
    [
        ("The title", "# The title\n\ntext", True),
        ("The title", "# The title\r\n\r\ntext", True),
        ("The title", "The title\n=========\n\ntext", True),
        ("The title", "# The title ##\n\ntext", True),
        ("The title", "#   The   title\n\ntext", True),
        ("Use `x` here", "# Use `x` here\n\ntext", True),
        ("Use x here", "# Use `x` here\n\ntext", True),
        ("The title", "words before\n\n# The title", True),
        ("The title", "# Another\n\ntext", False),
        ("The title", "## The title\n\ntext", False),
        ("The title", "# Another\n\n# The title", False),
        ("x", "# [[x]]\n\ntext", False),
        ("The title", "> # The title", False),
        ("The title", "# The title[^1]\n\n[^1]: x", False),
        ("", "#\n\ntext", True),
    ],
    ids=["same", "crlf", "setext", "closing hashes", "blanks", "markup", "markup gone", "later", "other", "second level",
         "second heading", "a link", "quoted", "a footnote", "empty"],
)  # fmt: skip
def test_the_first_heading_is_left_out_only_when_it_says_the_title(title, body, is_left_out):
    page = shown(body, title=title)
    assert (len(page.headings) == len(re.findall("(?m)^(?:> )?#|^==", body)) - 1) == is_left_out
    assert len(re.findall("<h[1-6]", page.html)) == len(page.headings)


def test_a_link_to_a_heading_that_was_left_out_leads_to_its_place():
    seen = tree("[up](#the-title)\n\n# The title")
    assert seen.addresses == ["#h-the-title"]
    assert seen.ids == ["h-the-title"]


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("The Heading", "h-the-heading"),
        ("Don't panic: 2 + 2", "h-dont-panic-2--2"),
        ("snake_case-name", "h-snake_case-name"),
        ("配置说明", "h-配置说明"),
        ("الإعدادات", "h-الإعدادات"),
        ("Настройка сервера", "h-настройка-сервера"),
        ("Ρυθμίσεις", "h-ρυθμίσεις"),
        ("सेटिंग्स", "h-सेटिंग्स"),
        ("Ünïcode", "h-ünïcode"),
        ("🎉", "h-section"),
        ("🎉 party", "h--party"),
        ("<script>", "h-script"),
        ("…", "h-section"),
    ],
)
def test_a_heading_of_any_script_has_an_anchor(heading, anchor):
    page = shown(f"[there](#{quote(heading)})\n\n## {heading}\n")
    assert page.headings == (Heading(2, heading, anchor),)
    seen = Tree(page.html)
    assert (seen.ids, list(map(unquote, seen.addresses))) == ([anchor], [f"#{anchor}"])


def test_the_same_heading_again_gets_a_number():
    page = shown("# a\n# a\n# a-1\n# A\n# a-1")
    assert [heading.anchor for heading in page.headings] == ["h-a", "h-a-1", "h-a-1-1", "h-a-2", "h-a-1-2"]


def test_a_link_to_a_heading_that_is_missing_is_none():
    seen = tree("[x](#gone) [y](#)")
    assert seen.addresses == []
    assert seen.attributes("span") == [{"class": "missing", "title": "no such heading"}] * 2


@given(st.text(max_size=40))
def test_an_anchor_is_its_own_anchor_without_the_prefix(fragment):
    anchor = anchor_of(fragment)
    assert anchor.startswith("h-")
    assert not re.search(r"[\s\"'<>&]", anchor)
    assert anchor_of(anchor.removeprefix("h-")) == anchor


@settings(max_examples=60)
@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12), min_size=1, max_size=5))
def test_every_link_to_a_heading_leads_to_an_id_that_exists(words):
    body = "\n\n".join(f"## {word}" for word in words)
    anchors = [heading.anchor for heading in shown(body).headings]
    page = tree(body + "\n\n" + "\n".join(f"[x](#{anchor.removeprefix('h-')})" for anchor in anchors))
    assert len(page.ids) == len(set(page.ids))
    assert [unquote(place) for place in page.addresses] == [f"#{anchor}" for anchor in anchors]


def test_pages_beside_each_other_keep_their_ids_apart():
    body = '## a\n\n[up](#a) [[x#a]] one[^1] `<a id="b">`\n\n[^1]: note'
    page = shown(body).html
    first, second = Tree(apart(page, "o1")), Tree(apart(page, "o2"))
    assert not set(first.ids) & set(second.ids)
    assert first.ids == [f"o1-{each}" for each in Tree(page).ids]
    assert first.addresses == ["#o1-h-a", "/w/x.md#h-a", "#o1-fn1", "#o1-fn1-0"]
    assert first.text == second.text == Tree(page).text


# Links to pages


@pytest.mark.parametrize(
    ("body", "shows"),
    [
        ("[[notes/x]]", '<a href="/w/notes/x.md">notes/x</a>'),
        ("[[notes/x|the *label*]]", '<a href="/w/notes/x.md">the <em>label</em></a>'),
        ("[[a/__init__]]", '<a href="/w/a/__init__.md">a/__init__</a>'),
        ("[[shop:notes/x#Part one]]", '<a href="/w/shop:notes/x.md#h-part-one">shop:notes/x#Part one</a>'),
        ("[[acme/shop:x| ]]", '<a href="/w/acme:shop:x.md">x.md</a>'),
        ("[a `b` c](../x.md#Part)", '<a href="/w/x.md#h-part">a <code>b</code> c</a>'),
        ("[two\nlines](y.md)", '<a href="/w/decisions/y.md">two\nlines</a>'),
        ("[](y.md)", '<a href="/w/decisions/y.md">decisions/y.md</a>'),
        ("**[x](y.md)**", '<strong><a href="/w/decisions/y.md">x</a></strong>'),
        ("[*x](y.md)*", '<a href="/w/decisions/y.md">*x</a>*'),
        ("[[y]]: what it is", '<a href="/w/y.md">y</a>: what it is'),
        ("[x](y.md): what it is", '<a href="/w/decisions/y.md">x</a>: what it is'),
        ("[![badge](b.png)](y.md)", '<a href="/w/decisions/y.md"><span class="image">badge</span></a>'),
        ("![a [[y]]](https://a.test/b.png)", '<span class="image">a <a href="/w/y.md">y</a></span>'),
        ("[see <https://a.test>](y.md)", '<a href="/w/decisions/y.md">see https://a.test</a>'),
        ("[see https://a.test](y.md)", '<a href="/w/decisions/y.md">see https://a.test</a>'),
        ("![[y]] \\[[y]] `[[y]]`", "![[y]] [[y]] <code>[[y]]</code>"),
        ("[x](y.png)", '<span class="missing" title="no link to a page">x</span>'),
        ("[x][y]\n\n[y]: z.md", '<span class="missing" title="no link to a page">x</span>'),
    ],
)
def test_a_link_shows_its_label_and_leads_to_its_page(body, shows):
    assert shown(body).html == f"<p>{shows}</p>\n"


def test_a_pipe_in_a_link_is_no_border_of_a_cell():
    seen = tree("| a | b |\n|---|---|\n| [[x|one]] | [[y\\|two]] |")
    assert seen.addresses == ["/w/x.md", "/w/y.md"]
    assert [word for word in seen.words if word.strip()] == ["a", "b", "one", "two"]


def test_a_link_without_a_page_says_so():
    seen = tree("[[x]] [y](../y.md)", address=lambda link, fragment: "")
    assert seen.elements[1:] == [("span", {"class": "missing", "title": "no such page"})] * 2
    assert shown("[[x]]", address=lambda link, fragment: "").links == (Link("", "", "x.md"),)


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ("    [[y]] in an indented block", ["/w/y.md"]),
        ("| a |\n|---|\n| b | [[x]] |", ["/w/x.md"]),
        ("[^1]: [[x]]\n[^1]: [[y]]\n\ntext[^1]", ["/w/y.md", "/w/x.md"]),
        ('[a]: https://a.test "[[x]]"', ["/w/x.md"]),
        ("| a ` b | [[x]] |\n|---|---|", ["/w/x.md"]),
        ("[a\n===\n](b.md)", ["/w/decisions/b.md"]),
        ("- x\n\n      [[x]]", ["/w/x.md"]),
    ],
    ids=["indented", "more cells than columns", "a note twice", "definition", "code over cells", "over blocks", "item"],
)
def test_links_that_markdown_would_hide_are_shown(body, paths):
    page = shown(body)
    assert [place for place in Tree(page.html).addresses if place.startswith("/w/")] == paths
    assert page.links == links_of("decisions/a.md", body)


@pytest.mark.parametrize(
    "body",
    [
        "https://a.test)](",
        "\\[o](https://a.test)](",
        "https://a.test:port/",
        "[o](https://a.test:port/)",
        "![i](https://[/)",
    ],
    ids=["brackets", "escaped", "port", "link", "image"],
)
def test_what_is_no_address_to_a_browser_is_no_link(body):
    assert Tree(shown(body).html).attributes("a") == []


PIECES = [
    "[[", "]]", "](", "[", "]", ")", "`", "``", "```\n", "~~~\n", "> ", "- ", "1. ", "\n", "\n\n", "    ", "a", "x.md",
    "|", "!", "\\", '"', "# ", "*", "**", "~~", "<", ">", "https://a.test/", "[^1]", "[^1]: ", "[a]: ", "&lt;", "\\|",
    "|---|---|\n", "| a | b |\n", "[[x|y]]", "[l](../y.md)", "[l](z.md#a)", "![", "===\n", "[ ] ", "\r\n", "\t", ":",
    "[[p:q]]", "[o](https://a.test)", "\ufdd0", "\u202e", "\x1b[1m", "<b>", "é", "{", "_", " ",
]  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=24).map("".join))
def test_a_page_shows_exactly_the_links_of_the_index(body):
    page = shown(body)
    linked = [unquote(place) for place in Tree(page.html).addresses if place.startswith("/w/")]
    links = links_of("decisions/a.md", body)
    assert page.links == links
    assert set(linked) >= {address(link, "") for link in links if "#" not in body}
    assert {place.partition("#")[0] for place in linked} == {address(link, "") for link in links}
    assert page.is_whole


# Hostile pages


@pytest.mark.parametrize(
    "body",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '<svg onload="alert(1)"><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>',
        "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
        '<base href="https://evil.test/">',
        "<style>body{display:none}</style>",
        "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
        '<a href="x" onclick="alert(1)" style="position:fixed">x</a>',
        "<form action=https://evil.test><button>x</button></form>",
        "<!-- x --><![CDATA[x]]><?php x ?>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](java&#x09;script:alert(1))",
        "[x](<java\tscript:alert(1)>)",
        "[x](\x01javascript:alert(1))",
        "[x](&colon;javascript&colon;alert(1))",
        "[x](vbscript:x)",
        "[x](data:text/html,<script>alert(1)</script>)",
        "[x](data:image/png;base64,AAAA)",
        "[x](file:///etc/passwd)",
        "[x](/\\evil.test)",
        "<javascript:alert(1)>",
        "<data:text/html,x>",
        "[x][y]\n\n[y]: javascript:alert(1)",
        "![x](javascript:alert(1))",
        "![x](data:image/svg+xml,x)",
        "![x](x.png)",
        '```"><script>alert(1)</script>\nx\n```',
        "```html\n<script>alert(1)</script>\n```",
        "[[x|<script>alert(1)</script>]]",
        "# <script>alert(1)</script>",
        "[^<b>]: x\n\n[^<b>]",
        '| <b> |\n|:-:"onclick=x|\n',
    ],
)
def test_a_hostile_page_is_text(body):
    seen = tree(body)
    assert not {name for name, _ in seen.elements} & set("script svg math img base style iframe form button b".split())
    names = {name for _, attrs in seen.elements for name in attrs}
    assert names <= {"href", "class", "id", "title", "tabindex", "role", "aria-label", "rel", "disabled", "type"}
    assert all(re.match("/w/|#fn|https://evil.test", place) for place in seen.addresses)


@pytest.mark.parametrize("source", ["https://evil.test/p.png?who=me", "//evil.test/p.png"])
def test_an_image_is_a_link_to_it_and_nothing_is_fetched(source):
    seen = tree(f"![the *view*]({source}) ![]({source})")
    link = {"class": "image", "href": source, "rel": "noopener noreferrer nofollow"}
    assert seen.attributes("a") == [link, link]
    assert seen.text == "the view image\n"


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ("[x](https://a.test/b?c=1&d=2 'it')", ["https://a.test/b?c=1&d=2"]),
        ("<https://a.test>", ["https://a.test"]),
        ("<me@a.test>", ["mailto:me@a.test"]),
        ("[x][y]\n\n[y]: https://a.test", ["https://a.test"]),
        ("see https://a.test/b_(c), (https://a.test/d).", ["https://a.test/b_(c)", "https://a.test/d"]),
        ("https://a.test\u3002", ["https://a.test"]),
        ("**https://a.test**", ["https://a.test"]),
        ("config.py www.a.test a@b.test https://", []),
    ],
)
def test_a_link_outward_says_nothing_of_us(body, places):
    seen = tree(body)
    assert seen.addresses == places
    assert all(attrs["rel"] == "noopener noreferrer nofollow" for attrs in seen.attributes("a"))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("a\u202egpj.exe\u2066b\u200f", "agpj.exeb"),
        ("a&#x202e;b", "ab"),
        ("\x1b[31mred\x1b[0m \x9b1m", "red "),
        ("bell\x07 nul\x00 del\x7f", "bell nul del"),
        ("half \ud800 pair", "half \ufffd pair"),
        ("&#27;[31m", "\ufffd[31m"),
        ("\ufdd00\ufdd1\ufdd2", "0"),
        ("```\n\x1b[31mred\u202e\n```", "red\n"),
        ("# h\u202e\x1b[1m", "h"),
    ],
    ids=["direction", "direction by name", "colours", "controls", "surrogate", "escape by name", "marks", "code", "heading"],
)  # fmt: skip
def test_signs_that_show_nothing_are_taken_out(body, text):
    page = shown(body, title=body)
    assert Tree(page.html).text.strip("\n").strip() == text.strip()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdd2]", page.html)


def test_a_body_too_long_to_be_laid_out_is_shown_as_it_was_written():
    long = "**<b>** [[x]]\n" * (LAID_OUT // 14 + 1)
    page = shown(long)
    assert (Tree(page.html).text, page.links, page.headings, page.is_whole) == (long, (), (), True)
    assert Tree(page.html).elements == [("pre", {"class": "plain", "tabindex": "0"})]


def test_a_body_of_five_megabytes_is_shown_in_part():
    page = shown("a<" * 2_500_000)
    assert (Tree(page.html).text, page.is_whole) == ("a<" * (SHOWN // 2), False)


@pytest.mark.parametrize(
    "body",
    ["> " * 10_000 + "x", "- " * 10_000 + "x", "".join(" " * 2 * n + "- a\n" for n in range(200)), "*a " * 90 + "b*" * 90],
    ids=["quotes", "lists in a line", "lists", "emphasis"],
)  # fmt: skip
def test_a_body_that_nests_too_deep_is_shown_as_it_was_written(body):
    page = shown(body)
    assert page.html.startswith('<pre class="plain" tabindex="0">')
    assert Tree(page.html).text == body


def test_a_block_of_tangled_brackets_is_text_and_the_others_are_not():
    seen = tree("[a " * 30 + "[[x]]\n\n*b* [[y]]")
    assert seen.text.split() == ["[a"] * 30 + ["[[x]]", "b", "y"]
    assert seen.addresses == ["/w/x.md", "/w/y.md"]


@pytest.mark.parametrize(
    "piece",
    ["[", "![", "[[a|", "](", "`` ` ", "*a ", "*_", "<", "&#", "[^1]", "[a](", "http://a(", ")", "|-|\n", "- a\n  - b\n",
     "# a\n", "\\", "$a**b__"],
)  # fmt: skip
def test_a_hostile_text_takes_no_longer_than_any_other(piece):
    body = piece * (8_000 // len(piece))
    begun = time.process_time()
    shown(f"http://a{body}")
    assert time.process_time() - begun < 2  # a tenth of it on a quiet machine; minutes if it were quadratic
