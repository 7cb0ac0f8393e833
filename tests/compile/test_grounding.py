import re
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_memory.compile.grounding import Ground

INPUT = """--- 2026-11-20T10:00:00Z user-prompt
 Fix the VAT rounding in /w/shop/cart.py, we have 10,000 rows and 3.5 s; run `pytest -q tests/test_cart.py`.
 修改了main.py文件, see https://example.com/a/b. Three items. round_total() in HTTPServer, utf8, sha 4f2c9d1.
 41 of 42 cases at rate 1; rfc 7231, sha256, 10 GiB, 要四秒, v2.5.1 and postgres:16.2-alpine.
 8.2k requests, parseAll.
 curl http://localhost:8080/healthz, pool_size=20, class Cart: round_total(lines).
 if _key_end in written and __name__ == "__main__" or name == "main": read(XDG_DATA_HOME, HOME)
 Started 20/12/2025 on python 3.11.2, 1,234.56 and 50 ms. Mail bob@example.com with --verbose.
"""
GROUND = Ground(INPUT)

SAID = {
    "a name inside of a path": "cart.py",
    "the end of a path": "`shop/cart.py`",
    "the beginning of a path": "/w/shop",
    "a name between chinese words": "修改main.py",
    "a number without its separator": "10000 rows",
    "a number with the other separator": "10.000 rows",
    "a number with a space in it": "10 000 rows",
    "a decimal comma": "3,5 s",
    "a decimal comma and points": "1.234,56",
    "the beginning of a version": "python 3.11",
    "a unit that is joined": "50ms",
    "a word as a digit": "3 items",
    "the day in english": "on 20 November 2026",
    "the day in american": "November 20, 2026",
    "the day in portuguese": "em 20 de novembro de 2026",
    "the day in german": "am 20. November 2026",
    "the day in chinese": "2026年11月20日",
    "a day without its year": "on Nov 20",
    "a month": "in December 2025",
    "a day with the month first": "12/20/2025",
    "a time": "at 10:00",
    "a url": "see https://example.com/a/b.",
    "an address": "ask bob@example.com",
    "an option": "with --verbose",
    "a part of a command": "`pytest -q`",
    "a command in a fence": "```sh\n$ pytest -q tests/test_cart.py\n```",
    "a function as a call": "`HTTPServer()`",
    "a commit": "commit 4F2C9D1",
    "an identifier in other letters": "Round_Total and httpserver",
    "numbers of items and headings": "## 3. Rounding\n\n1. first\n2) second",
    "words of which one was said, joined by a slash": "The VAT/tax rows; 24/7 and I/O-bound.",
    "a ratio and a rate": "41/42 passed at 50 ms/1,234.56 rows/s",
    "a private name": "_key_end is at the end, as key_end or __main__",
    "names joined by slashes": "HOME/XDG_DATA_HOME",
    "an acronym beside another": "JSON/YAML",
    "a word with a hyphen before a slash": "the pre-/post-tax sums",
    "a version without its sign, and its first number": "2.5.1, version 2, postgres 16",
    "a version with a sign that it had not": "python v3.11.2",
    "a name and its number, joined otherwise": "UTF-8, RFC7231, SHA-256, utf 8 and 10GiB",
    "the path of a url": "`/healthz` answers",
    "an expression of what was said": "`round_total(rows, rate=3.5)` and `pool_size = 20`",
    "a function of something": "`Cart.round_total()` and cart.parseAll",
    "a version of one number": "python v3",
    "thousands that were shortened": "8,200 req/s",
    "a small chinese number as a digit": "约4秒",
    "words": "The rounding, e.g. of VAT and/or refunds, is wrong.",
    "nothing": "",
}
INVENTED = {
    "src/cart.py": "src/cart.py",
    "/etc/hosts": "in /etc/hosts",
    "shop/cart": "`shop/cart` and `my-shop/cart`",
    "other.py": "修改other.py",
    "C:\\x\\y": "C:\\x\\y",
    "services/billing": "services/billing",
    "src/lib": "src/lib",
    "w/tests": "w/tests",
    "/readyz": "`/readyz`",
    "round_total(rate=99)": "`round_total(rate=99)`",
    "rows=unknown": "`rows=unknown`",
    "cart.round": "cart.round",
    "cart.parseNone": "cart.parseNone",
    "7": "API v7",
    "Cart::refund": "`Cart::round_total` and Cart::refund",
    "..\\..\\x": "..\\..\\x",
    "%APPDATA%\\x": "%APPDATA%\\x",
    "src/lib.rs": "src\u2044lib.rs",
    "vat.py": "vat.py",
    "XDG_CACHE_HOME": "HOME/XDG_CACHE_HOME",
    "_key_start": "_key_start",
    "2.6": "v2.6",
    "RFC7232": "RFC7232",
    "512": "SHA-512",
    "43": "41/43",
    "10,001": "10,001 rows",
    "3.6": "3.6 s",
    "51": "51ms",
    "6": "6 items",
    "21 November 2026": "on 21 November 2026",
    "20 November 2025": "on 20 November 2025",
    "Nov 21": "on Nov 21",
    "March 2026": "in March 2026",
    "2026-11-21": "2026-11-21",
    "11月21日": "11月21日",
    "11:00": "at 11:00",
    "https://example.com/z": "https://example.com/z",
    "al@example.com": "al@example.com",
    "--quiet": "--quiet",
    "pytest -x": "`pytest -x`",
    "rm -rf /": "```\nrm -rf /\n```",
    "5f2c9d1": "commit 5f2c9d1",
    "roundTotal": "roundTotal",
    "PostgreSQL": "We considered PostgreSQL.",
    "utf16": "utf16",
    "9": "step 9",
    "77": "7\u200b7 files",
}


@pytest.mark.parametrize("text", SAID.values(), ids=SAID)
def test_what_the_input_says_is_grounded_however_it_is_spelled(text):
    assert GROUND.missing(text) == ""


@pytest.mark.parametrize(("named", "text"), INVENTED.items(), ids=[re.sub(r"\W+", "-", name) for name in INVENTED])
def test_what_the_input_does_not_say_is_named(named, text):
    if named == "shop/cart":
        named = "my-shop/cart"
    assert GROUND.missing(text) == named


@pytest.mark.parametrize(
    "quote",
    [
        "Three  items.",
        "three\nitems",
        "RUN `pytest -q",
        "run pytest -q tests/test_cart.py",
        "`--verbose`.",
        "name == “main”",
    ],
    ids=["spaces", "line", "case", "no-marks", "marks", "quotation-marks"],
)
def test_a_quotation_may_differ_in_white_space_case_and_marks(quote):
    assert GROUND.holds(quote)


@pytest.mark.parametrize("quote", ["", " ", "hree items", "four items"], ids=["empty", "blank", "half", "other"])
def test_no_other_quotation_is_held(quote):
    assert not GROUND.holds(quote)


def test_the_hours_and_digests_of_an_input_vouch_for_no_number():
    ground = Ground("--- 2026-11-20T10:33:59Z stop\n sha 7a31b and 2f13\n")
    assert [ground.missing(f"{n} files") for n in ("33", "59", "20", "31", "13")] == ["33", "59", "20", "31", "13"]


words = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=12)
pieces = st.one_of(
    words,
    st.sampled_from(
        [
            "`a b`",
            "```",
            "cart.py",
            "/w/x",
            "10,000",
            "3.5",
            "2026-11-20",
            "20 Nov",
            "a_b",
            "https://a.b/c,",
            "1. x",
            "# 2",
        ]
    ),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(pieces, max_size=8).map(" ".join), min_size=1, max_size=8), st.data())
def test_lines_that_are_copied_are_grounded(lines, data):
    text = "\n".join(lines)
    lines = text.splitlines()
    start = data.draw(st.integers(0, len(lines)))
    end = data.draw(st.integers(start, len(lines)))
    assert Ground(text).missing("\n".join(lines[start:end])) == ""


names = st.from_regex(r"[b-df-hj-np-tv-z]{4,8}", fullmatch=True)
frames = st.sampled_from(["{}", "see {} for more", "- {}", "`{}`", "({})", "Das steht in {}.", "在{}里"])


@settings(max_examples=100, deadline=None)
@given(names, names, st.sampled_from(["src/{}/{}.py", "/opt/{}/{}", "{}/{}", "{}.{}.toml"]), frames)
def test_an_invented_path_is_never_grounded(one, other, path, frame):
    assert GROUND.missing(frame.format(path.format(one, other))) != ""


@settings(max_examples=100, deadline=None)
@given(st.dates(date(1900, 1, 1)), st.sampled_from(["%Y-%m-%d", "%d %B %Y", "%B %d, %Y", "%d.%m.%Y"]), frames)
def test_an_invented_date_is_never_grounded(day, form, frame):
    if (day.year, day.month, day.day) not in {(2026, 11, 20), (2025, 12, 20)}:
        assert GROUND.missing(frame.format(day.strftime(form))) != ""


@settings(max_examples=100, deadline=None)
@given(st.integers(20_000, 10**9), frames)
def test_an_invented_number_is_never_grounded(number, frame):
    assert GROUND.missing(frame.format(number)) != ""
    assert GROUND.missing(frame.format(f"{number:,}")) != ""


def test_a_hostile_text_takes_no_time():
    text = "a/" * 20_000 + "`" * 20_000 + "1," * 20_000 + "x" * 100_000 + "+a" * 20_000 + "[[" * 10_000
    assert Ground("nothing").missing(text) != ""
