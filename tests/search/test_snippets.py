"""Snippets where the full-text index has none."""

from ai_memory.search.snippets import around, descriptor, marked_run


def test_the_summary_of_a_page_describes_it():
    assert descriptor("# A\n\nText.", "A", "  What it\nis about. ") == "What it is about."


def test_prose_describes_a_page_without_headings_rules_and_lists_of_facts():
    text = "# Rounding\n\nRounding\n\n---\n- **When:** today\n\nInvoices are rounded\nper line.\n\n## More\n"
    assert descriptor(text, "Rounding", "") == "Invoices are rounded per line."


def test_a_long_description_ends_at_a_word():
    text = descriptor("word " * 100, "", "")
    assert (len(text) <= 240, text[-6:]) == (True, " word…")


def test_words_without_spaces_between_them_are_quoted_where_they_stand():
    assert marked_run("我们决定使用数据库迁移工具", ["数 据", "据 库"]) == "我们决定使用<mark>数据</mark>库迁移工具"
    assert marked_run("nothing of it", ["数 据", "rounding"]) == ""


def test_of_a_long_text_the_part_with_the_words_is_read():
    text = "noise " * 20_000 + "Saffron here. " + "noise " * 20_000
    part = around(text, ["absent", "saffron"])
    assert (len(part), "Saffron here." in part) == (16_000, True)
    assert (around("short", ["x"]), len(around(text, ["absent"]))) == ("short", 16_000)
