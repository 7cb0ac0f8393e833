import hashlib
import math
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from ai_memory.model.event import Kind, Observation, Scrubbed
from ai_memory.model.session import advanced, begun
from ai_memory.search.turns import turns_of
from ai_memory.store.index import Index, Row
from ai_memory.store.sqlite import Database
from ai_memory.store.turn_index import TurnIndex, TurnText

SHOP, OTHER = UUID(int=1), UUID(int=2)
START = datetime(2026, 3, 3, 22, 0, tzinfo=UTC)
PROMPT, ANSWER, TOOL, SUMMARY = Kind.USER_PROMPT, Kind.STOP, Kind.POST_TOOL_USE, Kind.POST_COMPACTION


class Desk:
    """An index, and sessions that say things in it, a minute after each other."""

    def __init__(self, path):
        self.database = Database(path, "index", durable=False)
        self.index, self.found = Index(self.database), TurnIndex(self.database)
        self.sessions = {}
        self.now = START

    def says(self, *said, session=1, project=SHOP, late=None):
        """Save one group: (kind, text) each."""
        observations = []
        for kind, text in said:
            self.now += timedelta(minutes=1)
            title = Scrubbed(text.split("\n")[0][:80] or kind.value)
            observations.append(Observation(late or self.now, kind, "codex", "", title, Scrubbed(text)))
        place = (project, UUID(int=session))
        known = self.sessions.get(place) or begun(observations[0], project_id=project, session_id=place[1], native="")
        for observation in observations:
            known = advanced(known, observation)
        self.sessions[place] = known
        self.index.save([Row(known, known.observations, observations, turns_of(known, observations))])

    def turns(self, match, *projects, **when):
        return [each.text for each in self.said(match, *projects, **when)]

    def said(self, match, *projects, **when):
        """The turns that are found, as they can be quoted."""
        found = [each.turn for each in self.found.turns(match, projects, 10, **when)]
        texts = self.found.texts(found)
        return [texts[number] for number in found]

    def named(self, match, *projects, **when):
        return [each.session_id.int for each in self.found.sessions(match, projects, 10, **when)]

    def whole(self):
        """Each place of each word in both search tables, and all rows of turns."""
        reader = self.database.reader()
        places = {}
        for table in ("turns_fts", "sessions_fts"):
            reader.execute(f"CREATE VIRTUAL TABLE temp.places USING fts5vocab (main, {table}, instance)")
            places[table] = reader.execute("SELECT * FROM temp.places ORDER BY term, doc, col, offset").fetchall()
            reader.execute("DROP TABLE temp.places")
        return places, reader.execute("SELECT * FROM turns ORDER BY id").fetchall()


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path / "index.db")
    yield desk
    desk.database.close()


def test_a_prompt_an_answer_a_tools_result_and_a_summary_are_found_with_place_time_and_text(desk):
    desk.says(
        (PROMPT, "Why does rounding fail?"), (TOOL, "three tests red"), (ANSWER, "Half up."), (SUMMARY, "Ledger.")
    )
    (found,) = desk.found.turns("rounding", (), 10)
    assert (found.project_id, found.session_id) == (SHOP, UUID(int=1))
    assert math.isfinite(found.score)
    assert desk.said("rounding")[0] == TurnText(0, START + timedelta(minutes=1), "prompt", "Why does rounding fail?")
    best = [desk.said(match)[0] for match in ("red", "half", "ledger")]
    assert [(each.n, each.kind, each.text) for each in best] == [
        (1, "tool", "three tests red"),
        (2, "answer", "Half up."),
        (3, "summary", "Ledger."),
    ]


def test_the_best_turn_of_each_session_is_found_best_first(desk):
    desk.says((PROMPT, "cache"), (PROMPT, "cache of many other things that nobody asked for"), session=1)
    desk.says((PROMPT, "words " * 40 + "cache"), session=2)
    desk.says(*((PROMPT, f"about something else {n}") for n in range(9)), session=3)
    found = desk.found.turns("cache", (), 10)
    assert [(each.session_id.int, text) for each, text in zip(found, desk.turns("cache"), strict=True)] == [
        (1, "cache"),
        (2, "words " * 40 + "cache"),
    ]
    assert found[0].score > found[1].score > 0
    assert [each.session_id.int for each in desk.found.turns("cache", (), 1)] == [1]


def test_many_good_turns_of_one_session_hide_none_of_another(desk):
    desk.says(*((PROMPT, f"cache {n}") for n in range(300)))
    desk.says((PROMPT, "words " * 40 + "cache"), session=2)
    assert [each.session_id.int for each in desk.found.turns("cache", (), 2)] == [1, 2]


def test_neighbours_find_a_turn_for_which_its_own_words_do_not_suffice(desk):
    for session in (1, 2):
        desk.says((PROMPT, "How is the parcel weighed?"), (ANSWER, "By hand."), session=session)
    desk.says((PROMPT, "And customs?"), session=2)
    assert [each.session_id.int for each in desk.found.turns("parcel OR customs", (), 10)] == [2, 1]
    (row,) = desk.database.all("SELECT count(*) FROM turns_fts WHERE turns_fts MATCH 'around : parcel'")
    assert row == (3,)


def around(desk, word):
    """List the texts of the turns that have a word around them."""
    return [
        text
        for (text,) in desk.database.all(
            "SELECT t.text FROM turns_fts JOIN turns t ON t.id = turns_fts.rowid WHERE turns_fts MATCH ? ORDER BY t.n",
            (f"around : {word}",),
        )
    ]


SAID = [
    (PROMPT, "one"),
    (ANSWER, "two"),
    (PROMPT, "three"),
    (TOOL, "four"),
    (TOOL, "five"),
    (ANSWER, "six"),
    (PROMPT, "seven"),
]


def test_around_what_is_said_are_two_before_and_two_behind_it_and_around_a_tool_call_the_two_before(desk):
    desk.says(*SAID)
    assert around(desk, "one") == ["two", "three"]
    assert around(desk, "two") == ["one", "three", "four", "five", "six"]
    assert around(desk, "three") == ["one", "two", "four", "five", "six", "seven"]
    assert around(desk, "four") == around(desk, "five") == []
    assert around(desk, "six") == ["two", "three", "seven"]
    assert around(desk, "seven") == ["three", "six"]


@pytest.mark.parametrize("cuts", [[1, 2, 3, 4, 5, 6], [3], [4], [2, 5], [6]])
def test_in_whatever_portions_turns_come_the_same_is_found(desk, tmp_path, cuts):
    desk.says(*SAID)
    other = Desk(tmp_path / "other.db")
    for start, end in zip([0, *cuts], [*cuts, len(SAID)], strict=True):
        other.says(*SAID[start:end])
    assert other.whole() == desk.whole()
    other.database.close()


def test_a_long_neighbour_lends_its_beginning_only(desk):
    desk.says((PROMPT, "early " + "padding " * 300 + "latest"), (ANSWER, "Yes."))
    assert (around(desk, "early"), around(desk, "latest")) == (["Yes."], [])
    assert desk.turns("latest") == ["early " + "padding " * 300 + "latest"]


def test_a_session_is_found_by_all_its_words_its_day_its_agent_and_its_title(desk):
    desk.says((PROMPT, "Move the warehouse to Lyon"), (TOOL, "secretly"), (ANSWER, "Boxes are packed."))
    desk.says((PROMPT, "Nothing of the kind"), (ANSWER, "No."), session=2)
    for match in ("warehouse AND boxes", "lyon", "about : warehouse"):
        assert desk.named(match) == [1]
    assert sorted(desk.named("about : (tuesday AND 3 AND march AND 2026 AND codex)")) == [1, 2]
    assert desk.named("wednesday") == []
    assert desk.named("secretly") == []


def test_a_session_that_ends_on_another_day_is_found_by_both(desk):
    desk.says((PROMPT, "Before midnight"), (ANSWER, "Yes."))
    desk.now += timedelta(hours=3)
    desk.says((PROMPT, "After it"), (ANSWER, "Still yes."))
    assert desk.named("about : (tuesday AND wednesday AND 4)") == [1]


def test_a_session_without_an_end_is_found_by_its_turns(desk):
    desk.says((PROMPT, "Unfinished business"))
    assert (desk.turns("business"), desk.named("business")) == (["Unfinished business"], [])


@pytest.mark.parametrize("end", [Kind.STOP, Kind.SESSION_END, Kind.PRE_COMPACT, Kind.POST_COMPACTION])
def test_a_sessions_text_is_written_again_when_a_turn_ends(desk, end):
    desk.says((PROMPT, "First question"), (ANSWER, "First answer"))
    desk.says((PROMPT, "Second question"))
    assert (desk.named("first"), desk.named("second")) == ([1], [])
    desk.says((end, ""))
    assert (desk.named("first"), desk.named("second")) == ([1], [1])


def test_what_came_behind_the_end_in_the_same_group_is_not_in_the_sessions_text_yet(desk, tmp_path):
    said = [(PROMPT, "ok"), (ANSWER, "Fine."), (PROMPT, "Now the invoices")]
    desk.says(*said)
    assert desk.named("invoices") == []
    other = Desk(tmp_path / "other.db")
    for each in said:
        other.says(each)
    assert other.whole() == desk.whole()
    other.database.close()


def test_a_session_that_did_nothing_has_no_text(desk):
    desk.says((Kind.SESSION_START, "startup"), (Kind.SESSION_END, "over"))
    desk.says((Kind.SESSION_START, "startup"), (ANSWER, "greeting"), session=2)
    assert desk.named("tuesday") == []


def test_a_very_long_session_is_found_by_its_beginning_and_its_end(desk):
    long = "padding " * 8_000
    desk.says((PROMPT, "aardvark"), *((ANSWER, long) for _ in range(4)), (PROMPT, "zebra"), (ANSWER, ""))
    assert desk.named("aardvark AND zebra") == [1]
    ((length,),) = desk.database.all("SELECT cnt FROM sessions_words WHERE term = 'pad'")
    assert 20_000 < length <= 25_000


def test_projects_and_times_narrow_what_is_found(desk):
    desk.says((PROMPT, "cache one"), (ANSWER, "done"))
    noon = desk.now
    desk.says((PROMPT, "cache two"), (ANSWER, "done"), session=2, project=OTHER)
    desk.says((PROMPT, "cache three"), (ANSWER, "done"))
    assert desk.turns("cache", SHOP, since=noon) == ["cache three"]
    assert desk.turns("cache", before=noon) == ["cache one"]
    assert desk.turns("cache", OTHER) == ["cache two"]
    assert sorted(desk.turns("cache", SHOP, OTHER)) == sorted(desk.turns("cache"))
    assert (desk.named("cache", OTHER), desk.named("cache", SHOP)) == ([2], [1])
    last, begun = desk.sessions[OTHER, UUID(int=2)].last, desk.sessions[SHOP, UUID(int=1)].started
    assert (sorted(desk.named("cache", since=last)), desk.named("cache", before=last)) == ([1, 2], [1, 2])
    assert (desk.named("cache", before=begun), desk.named("cache", since=desk.now + timedelta(days=1))) == ([], [])
    assert sorted(desk.named("cache", since=last, before=last + timedelta(seconds=1))) == [1, 2]


def test_an_empty_question_finds_nothing(desk):
    desk.says((PROMPT, "cache"), (ANSWER, "done"))
    assert (desk.turns(""), desk.named("")) == ([], [])


def test_an_event_that_comes_late_has_the_place_in_which_it_came(desk):
    desk.says((PROMPT, "Question"), (ANSWER, "Answer"))
    desk.says((PROMPT, "Overtaken"), late=START)
    (found,) = desk.said("overtaken")
    assert (found.n, found.at) == (2, START)
    assert around(desk, "overtaken") == ["Question", "Answer"]


def test_what_is_saved_again_from_the_beginning_is_there_once(desk):
    desk.says(*SAID)
    desk.says(*SAID, session=2)
    before = desk.found.counts()
    desk.sessions.clear()
    desk.says(*SAID[:2])
    assert before == {"turns": 14, "searchable": 14}
    assert desk.found.counts() == {"turns": 9, "searchable": 9}
    assert [each.session_id.int for each in desk.found.turns("three", (), 10)] == [2]


def test_a_session_that_is_forgotten_is_found_no_more_and_leaves_no_word(desk):
    desk.says((PROMPT, "xanthippe"), (ANSWER, "xanthippe"))
    desk.says((PROMPT, "socrates"), (ANSWER, "hemlock"), session=2)
    desk.index.forget(SHOP, UUID(int=1))
    assert (desk.turns("xanthippe"), desk.named("xanthippe")) == ([], [])
    assert (len(desk.turns("socrates")), desk.named("hemlock")) == (1, [2])
    desk.found.optimize()
    blocks = desk.database.all("SELECT block FROM turns_fts_data UNION ALL SELECT block FROM sessions_fts_data")
    assert not any(b"anthipp" in block for (block,) in blocks)
    assert any(b"emlock" in block for (block,) in blocks)


def test_a_session_that_moves_is_found_where_it_is(desk):
    desk.says((PROMPT, "cache"), (ANSWER, "done"))
    desk.index.move(UUID(int=1), SHOP, OTHER, [])
    assert (desk.turns("cache", SHOP), desk.turns("cache", OTHER)) == ([], ["cache"])
    desk.index.move_project(OTHER, SHOP)
    assert (desk.named("done", SHOP), desk.named("done", OTHER)) == ([1], [])


def test_a_session_of_which_only_the_page_is_left_has_no_turns(desk):
    desk.says((PROMPT, "cache"), (ANSWER, "done"))
    desk.index.archive(desk.sessions[SHOP, UUID(int=1)])
    assert (desk.turns("cache"), desk.named("cache"), desk.found.counts()["turns"]) == ([], [], 0)


def test_a_turn_is_known_by_the_digest_of_its_text(desk):
    desk.says((PROMPT, "Grüße"))
    assert desk.database.all("SELECT hash FROM turns") == [(hashlib.sha256("Grüße".encode()).digest()[:16],)]


def test_a_turn_comes_with_what_was_said_before_and_after_it_whatever_tools_did_between(desk):
    desk.says(
        (PROMPT, "first"), (TOOL, "red"), (PROMPT, "why"), (TOOL, "a"), (TOOL, "b"), (ANSWER, "so"), (PROMPT, "x")
    )
    desk.says((PROMPT, "of another"), session=2)
    whole = [(0, "prompt", "first"), (2, "prompt", "why"), (4, "tool", "b"), (5, "answer", "so"), (6, "prompt", "x")]
    around = {n: desk.found.exchange(SHOP, UUID(int=1), n) for n in (0, 2, 4, 6)}
    assert around == {0: whole[:2], 2: [whole[0], whole[1], whole[3]], 4: whole[1:4], 6: whole[3:]}
    assert desk.found.exchange(OTHER, UUID(int=1), 0) == []
