"""Editing one table of a TOML file as text: our change and nothing else."""

import tomllib

import pytest

from ai_memory.errors import ConfigError
from ai_memory.install import toml_text
from ai_memory.install.marked_text import appended, cut

TABLE = ("mcp_servers", "ai-memory")
VALUES = {"url": "http://x/mcp", "mode": "approve", "http_headers": {"Authorization": 'Bearer é"\\'}}
FILES = {
    "empty": "",
    "blank": "\n",
    "no line end": "a = 1",
    "a line": "a = 1\n",
    "empty line at the end": "# c\n[x]\n y = 1\n\n",
    "the parent's own header": "[mcp_servers]\n",
    "a neighbour": "[mcp_servers.other]\nurl='1' # x\n[mcp_servers.ai-memory-2]\nurl='2'",
    "a header in a text": "a = 1\r\n[b]\r\nc = '''\n[mcp_servers.ai-memory]\n'''\r\n",
    "byte order mark": "\ufeffa = 1\n",
    "an array of tables": '[[hooks]]\nevent = "x"\n[[hooks]]\nevent = "y"\n',
}


@pytest.mark.parametrize("text", [text for name, text in FILES.items() if name != "a header in a text"])
def test_a_table_that_is_added_changed_and_taken_out_leaves_no_trace(text):
    added, gap = toml_text.added(text, "f", TABLE, VALUES)
    assert added.startswith(text)
    assert tomllib.loads(added.removeprefix("\ufeff"))["mcp_servers"]["ai-memory"] == VALUES
    changed = toml_text.changed(added, "f", TABLE, {**VALUES, "url": "http://y"})
    assert toml_text.read(changed, "f")["mcp_servers"]["ai-memory"] == {**VALUES, "url": "http://y"}
    assert toml_text.removed(added, "f", TABLE, gap) == text
    assert toml_text.removed(changed, "f", TABLE, gap) == text


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_what_the_user_adds_behind_our_table_stays_with_its_comment(text):
    added, gap = toml_text.added(text, "f", TABLE, VALUES)
    theirs = "\n# mine\n[z]\nq = 1\n"
    if text == FILES["a header in a text"]:
        with pytest.raises(ConfigError, match="f is written in a way that cannot be edited safely"):
            toml_text.removed(added + theirs, "f", TABLE, gap)
        return
    left = toml_text.removed(added + theirs, "f", TABLE, gap)
    assert left.endswith("\n# mine\n[z]\nq = 1\n")
    wanted = toml_text.read(text, "f") | {"z": {"q": 1}}
    assert toml_text.read(left, "f") == wanted


def test_lines_that_need_no_change_keep_their_comments_and_tables_inside_stay():
    text = (
        '[mcp_servers.ai-memory] # ours\n# why\nurl = "u" # c\nenabled = false # off\n\n'
        "[mcp_servers.ai-memory.tools.a]\nx = 1\n\n# next\n[z]\n"
    )
    values = {"url": "n", "enabled": False, "tools": {"a": {"x": 1}}, "http_headers": {"A": "b"}}
    assert toml_text.changed(text, "f", TABLE, values) == (
        '[mcp_servers.ai-memory] # ours\nurl = "n"\nhttp_headers = { A = "b" }\n# why\nenabled = false # off\n\n'
        "[mcp_servers.ai-memory.tools.a]\nx = 1\n\n# next\n[z]\n"
    )
    assert toml_text.removed(text, "f", TABLE, None) == "\n# next\n[z]\n"


@pytest.mark.parametrize(
    "header", ['[mcp_servers."ai-memory"]', "[ mcp_servers . 'ai-memory' ]", "  [mcp_servers.ai-memory]"]
)
def test_every_spelling_of_a_header_is_found(header):
    text = f"a = 1\n\n{header}\nurl = 'u'\n"
    assert toml_text.removed(text, "f", TABLE, None) == "a = 1\n"


ODD = {
    'mcp_servers = {ai-memory = {url = "x"}}\n': "f has mcp_servers.ai-memory, but not as a table of its own",
    '[mcp_servers]\nai-memory = {url = "x"}\n': "f has mcp_servers.ai-memory, but not as a table of its own",
    "[mcp_servers.ai-memory]\nurl = '''\n[x]\n'''\n": "f is written in a way that cannot be edited safely",
}


@pytest.mark.parametrize(("text", "message"), ODD.items())
def test_a_table_written_oddly_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        toml_text.removed(text, "f", TABLE, None)
    with pytest.raises(ConfigError, match=message):
        toml_text.changed(text, "f", TABLE, {"url": "y"})


def test_a_file_whose_servers_stand_on_one_line_is_refused():
    with pytest.raises(ConfigError, match="cannot be edited safely: change it by hand"):
        toml_text.added('mcp_servers = {b = {url = "x"}}\n', "f", TABLE, VALUES)


def test_a_file_that_is_no_toml_is_refused_with_the_line():
    with pytest.raises(ConfigError, match=r"f is not valid TOML: .*line 2.* Nothing was written"):
        toml_text.added("a = 1\nb =\n", "f", TABLE, VALUES)


def test_a_name_that_needs_quotes_gets_them():
    added, _ = toml_text.added("", "f", ("mcp_servers", "my memory.1"), {"args": ["a", "b"], "on": True, "n": 3})
    assert added == '[mcp_servers."my memory.1"]\nargs = ["a", "b"]\non = true\nn = 3\n'


@pytest.mark.parametrize("text", ["", "\n", "a", "a\n", "a\n\n", "a\r\n", "\ufeff", "a\n\nb\n\n\n"])
def test_a_passage_that_is_appended_is_cut_without_a_trace(text):
    whole, gap = appended(text, "ours\n")
    start = len(whole) - len("ours\r\n" if "\r" in text else "ours\n")
    assert cut(whole, start, len(whole), gap) == text
    assert whole[:start].endswith(("\n\n", "\r\n\r\n")) or not text.strip("\ufeff\n")


def test_without_a_note_one_empty_line_goes_with_a_passage():
    assert cut("a\n\nours\n", 3, 8, None) == "a\n"
    assert cut("a\nours\nb\n", 2, 7, None) == "a\nb\n"


def test_a_passage_leaves_a_line_end_between_what_is_before_and_behind():
    whole, gap = appended("a", "ours\n")
    assert cut(whole + "b\n", 3, 8, gap) == "a\nb\n"
