import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.model.page import parsed
from ai_memory.search.chunks import Chunk, camel_parts, chunks_of, identifiers


def cut(text, path="notes/a-b_c.md"):
    return chunks_of(parsed(path, text))


def test_a_short_page_is_one_chunk_with_everything_said_of_it():
    text = "---\ntags: [db, fast]\nsummary: In short.\n---\n# The Title\n\nSome fooBar.\n"
    assert cut(text) == [
        Chunk(
            heading="The Title",
            body="Some fooBar.\n\nIn short.",
            words="foo Bar\ndb, fast\nnotes/a-b_c.md\nnotes a b c",
        )
    ]


def test_a_page_without_text_is_found_by_its_name():
    assert cut("") == [Chunk("a-b_c", "", "notes/a-b_c.md\nnotes a b c")]


def test_sections_carry_the_headings_above_them():
    long = "word " * 80
    text = (
        f"# T\n\n## Decisions\n\n### Storage ##\n\n{long}\n\n```\n# no heading\n```\n\n### Index\n\n{long}\n\n"
        f"## Next\r\n\r\n{long}\r\n\n# Other\n\n{long}"
    )
    chunks = cut(text)
    assert [chunk.heading for chunk in chunks] == [
        "T; Decisions > Storage",
        "Decisions > Index",
        "Next",
        "Other",
    ]
    assert "# no heading" in chunks[0].body
    assert chunks[1].body == long.strip()


def test_short_sections_share_a_chunk_and_no_heading_is_lost():
    text = "# T\n\n" + "".join(f"## Head{n}\n\n{'text' if n % 2 else ''}\n\n" for n in range(4))
    assert [chunk.heading for chunk in cut(text)] == ["T; Head0; Head1; Head2; Head3"]


def test_a_long_section_is_cut_at_paragraphs_with_some_overlap():
    paragraphs = [f"p{n} " + "word " * 60 for n in range(30)]
    bodies = [chunk.body for chunk in cut("\n\n".join(paragraphs))]
    assert all(len(body) <= 1_600 for body in bodies)
    assert all(body.rstrip().endswith("word") for body in bodies[1:])
    text = "\n".join(bodies)
    assert all(f"p{n} " in text for n in range(30))
    assert bodies[1].split()[0] == "word"


@given(st.text(st.sampled_from("# \n`ab\r-"), max_size=400), st.integers(1, 40))
def test_every_word_of_a_page_is_in_a_chunk_and_no_chunk_is_long(text, times):
    page = parsed("x.md", f"{text}\n" * times)
    chunks = chunks_of(page)
    words = {word for chunk in chunks for word in f"{chunk.heading} {chunk.body}".split()}
    lost = {word for word in page.body.replace("#", " ").split() if len(word) < 100 and word.strip("ab-") == ""} - words
    assert {word for word in lost if not any(word in other for other in words)} == set()
    assert all(len(chunk.body) < 2_000 for chunk in chunks)
    assert all(len(chunk.heading) < 1_800 for chunk in chunks)


@pytest.mark.parametrize(
    "text",
    [
        "word " * 1_000_000,
        "a" * 5_000_000,
        "# a\n" * 250_000,
        "# a\n" + "para graph\n\n" * 400_000,
        "```\nx\n```\n" * 100_000,
    ],
    ids=["words", "one word", "headings", "paragraphs", "fences"],
)
def test_a_huge_page_is_cut_quickly_into_bounded_chunks(text):
    page = parsed("x.md", text)
    begun = time.process_time()
    chunks = chunks_of(page)
    assert time.process_time() - begun < 3
    assert len(chunks) < len(text) / 500
    assert all(len(chunk.body) < 2_000 for chunk in chunks)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fooBar", "foo Bar"),
        ("call FooBarBaz() and getUserName", "Foo Bar Baz\nget User Name"),
        ("HTTPServer, parseHTTPResponse2", "HTTP Server\nparse HTTP Response 2"),
        ("fooBar fooBar", "foo Bar"),
        ("foo_bar foo-bar Foo FOO 2026-11-21T10:00:00Z 0d7c1a7e", ""),
        ("x" * 40 + "Y" * 40, ""),
        ("日本語", "日 本 語"),
        ("see 用SQLite存，数据 here\nplain line", "SQ Lite\nsee 用 SQLite 存 , 数 据 here"),
        ("调用fooBar函数", "foo Bar\n调 用 fooBar 函 数"),
        ("กำลังทำ", "ก า ล ง ท า"),
        ("서울에서", "서 울 에 서"),
        ("the ﬁle ＡＢＣ of é x²", "file ABC x2"),
        ("größe naïve – “quoted”", ""),
    ],
)
def test_the_words_that_the_tokenizer_does_not_see_are_told_apart(text, words):
    assert identifiers(text) == words


@given(st.text(st.sampled_from("aAbB1Z"), max_size=20))
def test_no_letter_of_a_name_is_lost(name):
    assert "".join(camel_parts(name)) == name
