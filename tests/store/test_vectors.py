"""Vectors in the index: the quantised search finds what an exact one would."""

import random
from array import array
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from ai_memory.search.embed.embedder import packed
from ai_memory.store.sqlite import Database
from ai_memory.store.turn_index import digest
from ai_memory.store.vectors import Vectors

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
PROJECTS = [UUID(int=1), UUID(int=2)]
DIM, MANY = 64, 1_500


class Shelf:
    """Turns with vectors around a few directions, as texts of a few subjects have them."""

    def __init__(self, path):
        self.database = Database(path / "index.db", "index", durable=False)
        self.vectors = Vectors(self.database)
        self.chance = random.Random(7)
        self.subjects = [self.direction() for _ in range(12)]
        self.model = self.vectors.model("local", "m", DIM)
        with self.database.writing() as connection:
            for number, project in enumerate(PROJECTS, start=1):
                connection.execute(
                    "INSERT INTO sessions (id, project, session, native, agent, cwd, started, last, observations, prompts, "
                    "tools, in_turn, ended, title, opening, raw_bytes) "
                    "VALUES (?, ?, ?, '', 'codex', '', 0, 0, 1, 1, 0, 0, 0, '', '', 1)",
                    (number, str(project), str(UUID(int=number + 10))),
                )
            connection.executemany(
                "INSERT INTO turns (session, n, kind, text, words, hash) VALUES (?, ?, 'prompt', ?, '', ?)",
                ((1 + n % 2, n, f"text {n}", digest(f"text {n}")) for n in range(MANY)),
            )

    def direction(self):
        return [self.chance.gauss(0, 1) for _ in range(DIM)]

    def near(self, subject, spread):
        return packed([number + self.chance.gauss(0, spread) for number in subject])

    def fill(self):
        """Give every turn a vector; gives them by text."""
        made = {}
        while waiting := self.vectors.waiting(self.model, 400, NOW):
            found = [(text, [self.near(self.chance.choice(self.subjects), 0.5)]) for text in waiting]
            assert self.vectors.save(self.model, found) == len(found)
            made |= {text.text: (text.project_id, vector) for text, (vector,) in found}
        return made

    def text(self, turn):
        return self.database.all("SELECT text FROM turns WHERE id = ?", (turn,))[0][0]


@pytest.fixture
def shelf(tmp_path):
    shelf = Shelf(tmp_path)
    yield shelf
    shelf.database.close()


def cosine(one, other):
    return sum(a * b for a, b in zip(array("f", one), array("f", other), strict=True))


@pytest.mark.parametrize("scope", [[], PROJECTS[:1], PROJECTS])
def test_the_nearest_are_those_of_an_exact_search(shelf, scope):
    made = shelf.fill()
    assert len(made) == MANY
    agreed = 0
    for subject in shelf.subjects:
        question = shelf.near(subject, 0.5)
        exact = {
            text: cosine(question, vector) for text, (project, vector) in made.items() if project in (scope or PROJECTS)
        }
        best = sorted(exact, key=exact.__getitem__, reverse=True)[:10]
        found = shelf.vectors.nearest(shelf.model, question, scope, 10, NOW)
        assert [each.similarity for each in found] == sorted((each.similarity for each in found), reverse=True)
        assert all(each.similarity == pytest.approx(exact[shelf.text(each.turn)], abs=0.02) for each in found)
        agreed += len({shelf.text(each.turn) for each in found} & set(best))
    assert agreed >= 0.9 * 10 * len(shelf.subjects)


def test_a_text_is_as_near_as_its_nearest_piece(shelf):
    subject, other = shelf.subjects[:2]
    (text,) = shelf.vectors.waiting(shelf.model, 1, NOW)
    shelf.vectors.save(shelf.model, [(text, [packed(other), packed(subject), packed(other)])])
    (found,) = shelf.vectors.nearest(shelf.model, packed(subject), [], 10, NOW)
    assert found.project_id == text.project_id
    assert found.chunk == 0
    assert shelf.text(found.turn) == text.text
    assert found.similarity == pytest.approx(1, abs=0.01)


def test_models_do_not_see_each_others_vectors(shelf):
    shelf.fill()
    other = shelf.vectors.model("local", "m", 2 * DIM)
    assert other == shelf.vectors.model("local", "m", 2 * DIM) != shelf.model
    question = packed([1.0] * 2 * DIM)
    assert shelf.vectors.nearest(other, question, [], 10, NOW) == []
    assert len(shelf.vectors.waiting(other, MANY + 1, NOW)) == MANY
    assert shelf.vectors.waiting(shelf.model, MANY, NOW) == []
    assert shelf.vectors.triples() == [("local", "m", DIM, MANY)]


def test_what_was_refused_waits_until_its_time_comes(shelf):
    (text,) = shelf.vectors.waiting(shelf.model, 1, NOW)
    shelf.vectors.fail(shelf.model, text, "refused", NOW, [timedelta(hours=1)], for_good=True)
    later = NOW + timedelta(hours=2)
    assert text not in shelf.vectors.waiting(shelf.model, MANY, NOW)
    assert text in shelf.vectors.waiting(shelf.model, MANY, later)
    assert shelf.vectors.coverage(shelf.model, NOW).failed == 1
    shelf.vectors.fail(shelf.model, text, "refused", later, [timedelta(hours=1)], for_good=True)
    assert text not in shelf.vectors.waiting(shelf.model, MANY, later + timedelta(days=9999))
    shelf.vectors.drop([text.project_id])
    assert text in shelf.vectors.waiting(shelf.model, MANY, NOW)
