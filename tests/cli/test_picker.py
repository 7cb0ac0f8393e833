"""Choosing one of a list on a terminal."""

import sys

import pytest

from ai_memory.cli.picker import Picker
from ai_memory.model import packet as packets

no_terminal_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")
GOALS = ["Move invoices", "Move house", "Café refunds"]

OPTIONS = ["…AAAA · just now · Move invoices", "…BBBB · 2 hr ago · Café\nrefunds", "…CCCC · 3 d ago · Move house"]
UP, DOWN, ENTER, ESC, BACK = "\x1b[A", "\x1b[B", "\r", "\x1b", "\x7f"


def pressed(*keys):
    picker = Picker(OPTIONS)
    for key in keys:
        picker.press(key)
    return picker


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        ([ENTER], 0),
        ([DOWN, ENTER], 1),
        ([DOWN, DOWN, DOWN, DOWN, UP, ENTER], 1),
        ([UP, ENTER], 0),
        (["\x1bOB", "\n"], 1),
        (["\x0e", "\x0e", "\x10", ENTER], 1),
        ([*"/move", DOWN, ENTER], 2),
        ([*"CAFÉ", ENTER], 1),
        ([*"house move", ENTER], 2),
        ([*"housex", BACK, ENTER], 2),
        ([*"zzz", DOWN, UP, ENTER, BACK, BACK, BACK, ENTER], 0),
        ([DOWN, ESC], None),
        (["\x03"], None),
    ],
)
def test_keys_choose(keys, chosen):
    picker = pressed(*keys)
    assert (picker.done, picker.chosen) == (True, chosen)


def test_nothing_is_taken_where_nothing_is_found():
    picker = pressed(*"zzz", ENTER)
    assert picker.done is False
    assert picker.lines("Packets", 40) == ["Packets", "filter: zzz", "  nothing has these words"]


def test_what_is_drawn_fits_the_terminal_and_follows_the_arrow():
    assert pressed(DOWN).lines("Packets", 200) == [
        "Packets",
        "↑ ↓ choose · Enter take · type to filter · Esc leave",
        "  …AAAA · just now · Move invoices",
        "> …BBBB · 2 hr ago · Café refunds",
        "  …CCCC · 3 d ago · Move house",
    ]
    many = Picker([f"{n:02} " + "界" * 30 for n in range(50)])
    for _ in range(30):
        many.press(DOWN)
    lines = many.lines("Packets", 20)
    assert "> 30 界界界界界界…" in lines
    assert (len(lines), lines[-1]) == (15, "  (38 more)")
    assert all(len(line) + line.count("界") <= 20 for line in lines)


@no_terminal_on_windows
@pytest.mark.parametrize(
    ("typed", "said"), [(b"\x1b[B\r", b"# Resume context"), (b"house\r", b"# Resume context"), (b"\x1b", b"")]
)
def test_resume_on_a_terminal_lets_somebody_choose_and_leaves_it_clean(wire, at_terminal, typed, said):
    rows = [
        {"id": f"packet-000{n}", "created_at": "2026-11-20T10:00:00Z", "goal": goal} for n, goal in enumerate(GOALS)
    ]
    wire.answers["GET /v1/packets?limit=50"] = (200, {"packets": rows})
    wire.answers["GET /v1/packets/packet-0001"] = (200, packets.example().encode())
    code, seen = at_terminal(["resume", "--no-copy"], (b"Esc leave", typed))
    assert code == 0, seen
    assert seen.startswith(f"Packets at {wire.host}".encode())
    assert seen.rpartition(b"\x1b[J")[2][: len(said) or None] == said
