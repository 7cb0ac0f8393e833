"""The datasets of `bin/bench retrieval` are read as their makers meant them, and measured as everybody measures."""

import importlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent.parent / "bin" / "_bench"


@pytest.fixture
def bench(monkeypatch):
    """The modules of the benchmarks, by name."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


@pytest.fixture
def datasets(bench):
    return bench("_datasets")


def written(file, value):
    file.write_text(json.dumps(value), "utf-8")
    return file


def test_a_session_of_devmembench_answers_the_questions_that_name_it(datasets, tmp_path):
    messages = [{"role": "user", "content": "FastAPI?"}, {"role": "assistant", "content": "Yes."}]
    meta = {"date": "2025-01-15", "project": "shop"}
    written(tmp_path / "sessions.json", [{"sessionId": "S01", "metadata": meta, "messages": messages}])
    asked = [
        {
            "questionId": "Q1",
            "questionType": "tech-stack",
            "question": "Which framework?",
            "haystackSessionIds": ["S01"],
        },
        {"questionId": "Q2", "questionType": "abstention", "question": "Which frontend?", "haystackSessionIds": []},
    ]
    written(tmp_path / "questions.json", asked)
    found = datasets.devmembench(tmp_path)
    (session,) = found.documents
    assert session == datasets.Session(
        "S01", "shop", datetime(2025, 1, 15, tzinfo=UTC), (("user", "FastAPI?"), ("assistant", "Yes."))
    )
    assert session.text == "Wednesday 15 January 2025\nFastAPI?\nYes."
    assert found.questions == (datasets.Question("Which framework?", "tech-stack", frozenset({session.path})),)
    assert (found.name, found.left_out, len(found.sha256)) == ("devmembench", 1, 64)


def test_a_commit_becomes_a_page_with_its_first_line_as_the_title(datasets, tmp_path):
    commits = [
        {"_id": "a1", "title": "", "text": "Fix facets\n\nFiles: app.py"},
        {"_id": "b2", "title": "T", "text": "B"},
    ]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(each) + "\n" for each in commits))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q0", "text": "facets"}\n{"_id": "q1", "text": "nothing"}\n')
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq0\ta1\t1\nq0\tb2\t0\n")
    found = datasets.datasette_changelog(tmp_path)
    assert found.documents == (
        datasets.Page("commits/a1.md", "datasette", "Fix facets", "Files: app.py"),
        datasets.Page("commits/b2.md", "datasette", "T", "B"),
    )
    assert found.questions == (datasets.Question("facets", "changelog", frozenset({"commits/a1.md"})),)
    assert found.left_out == 1


def test_evidence_of_locomo_names_sessions_and_turns(datasets, tmp_path):
    talk = {
        "speaker_a": "Ann",
        "speaker_b": "Bo",
        "session_2_date_time": "10:04 am on 19 June, 2023",
        "session_2": [{"speaker": "Bo", "dia_id": "D2:1", "text": "I moved."}],
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Ann", "dia_id": "D1:1", "text": "Hi!"},
            {"speaker": "Ann", "dia_id": "D1:2", "text": " "},
            {"speaker": "Bo", "dia_id": "D1:3", "text": "I got a dog."},
        ],
        "session_3_date_time": "1:00 pm on 9 July, 2023",
    }
    asked = [
        {"question": "What did Bo get?", "answer": "a dog", "evidence": ["D1:3; D2:1", "D9:9"], "category": 1},
        {"question": "Who knows?", "evidence": [], "category": 5},
    ]
    found = datasets.locomo(written(tmp_path / "l.json", [{"sample_id": "c-1", "conversation": talk, "qa": asked}]))
    first, second = found.documents
    assert first == datasets.Session(
        "c-1/1",
        "c-1",
        datetime(2023, 5, 8, 13, 56, tzinfo=UTC),
        (("user", "Ann: Hi!"), ("assistant", "Bo: I got a dog.")),
    )
    assert (second.name, second.turns) == ("c-1/2", (("assistant", "Bo: I moved."),))
    turns = frozenset({(first.path, 1), (second.path, 0)})
    gold = frozenset({first.path, second.path})
    assert found.questions == (datasets.Question("What did Bo get?", "multi-hop", gold, turns),)
    assert found.left_out == 1


def test_each_question_of_longmemeval_has_sessions_of_its_own(datasets, tmp_path):
    def question(name, answers):
        return {
            "question_id": name,
            "question_type": "temporal-reasoning",
            "question": "When?",
            "haystack_session_ids": ["s1", "s2"],
            "haystack_dates": ["2023/05/20 (Sat) 02:21", "2023/05/21 (Sun) 09:00"],
            "haystack_sessions": [
                [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": ""}],
                [{"role": "user", "content": "Bye"}],
            ],
            "answer_session_ids": answers,
        }

    questions = [question("q1", ["s2"]), question("q2", ["s1"]), question("q3_abs", ["s1"])]
    found = datasets.longmemeval(written(tmp_path / "l.json", questions))
    assert [(each.name, each.project) for each in found.documents] == [
        (f"{name}/{session}", name) for name in ("q1", "q2", "q3_abs") for session in ("s1", "s2")
    ]
    assert len({each.id for each in found.documents}) == 6
    first = found.documents[0]
    assert (first.at, first.turns) == (datetime(2023, 5, 20, 2, 21, tzinfo=UTC), (("user", "Hello"),))
    assert [(each.project, each.gold) for each in found.questions] == [
        ("q1", frozenset({found.documents[1].path})),
        ("q2", frozenset({found.documents[2].path})),
    ]
    assert found.left_out == 1


def test_of_some_documents_only_the_questions_that_they_answer_are_asked(datasets):
    pages = tuple(datasets.Page(f"{n}.md", "p", "t", "b") for n in range(3))
    questions = tuple(datasets.Question("?", "k", frozenset({page.path})) for page in pages)
    some = datasets.Dataset("d", "", pages, questions, 1).first(2)
    assert (some.documents, some.questions, some.left_out) == (pages[:2], questions[:2], 2)


def test_recall_is_the_share_found_and_the_rank_is_that_of_the_first(bench):
    quality = bench("retrieval").quality
    assert quality([({"a", "b"}, ["x", "a", "y", "z", "v", "b"])]) == {"R@1": 0, "R@5": 50, "R@10": 100, "MRR": 50}
    assert quality([({"a"}, ["a"]), ({"a"}, [])]) == {"R@1": 50, "R@5": 50, "R@10": 50, "MRR": 50}


def test_a_question_without_rare_words_finds_nothing_in_the_reference(bench):
    plain = bench("_plain")
    table = plain.Plain([("a", "p", "the caches of the shop"), ("b", "q", "a cache"), ("c", "p", "something else")])
    assert [table.search(plain.any_word("What about the caches?"), 10, project) for project in ("", "p")] == [
        ["b", "a"],
        ["a"],
    ]
    assert table.search(plain.any_word("and the of"), 10) == []


def test_a_turn_that_was_not_kept_moves_those_behind_it_up_in_the_log(bench, datasets):
    class Server:
        def post(self, path, body):
            texts = [item["body"].get("prompt") for item in body]
            return {"results": [{"outcome": "dropped_policy" if text == "noise" else "stored"} for text in texts]}

        def settle(self):
            pass

    turns = (("user", "one"), ("user", "noise"), ("assistant", "three"))
    session = datasets.Session("s", "p", datetime(2023, 5, 8, tzinfo=UTC), turns)
    replay = bench("retrieval").Replay(Server())
    replay.run([session])
    assert (replay.said, replay.dropped) == ({session.path: [1, None, 2]}, {"dropped_policy": 1})
    named = frozenset((session.path, n) for n in range(3))
    question = datasets.Question("?", "k", frozenset({session.path}), named)
    assert replay.turns_of(question) == {(session.path, 1), (session.path, 2)}


def test_a_dataset_goes_through_a_real_server(tmp_path):
    def said(place, text):
        return {"speaker": "Ann" if int(place[-1]) % 2 else "Bo", "dia_id": place, "text": text}

    talk = {
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [said("D1:1", "Shall we paint the boat?"), said("D1:2", "The varnish is in the saffron shed.")],
        "session_2_date_time": "2:00 pm on 9 May, 2023",
        "session_2": [said("D2:1", "The mast is broken."), said("D2:2", "Then we buy a new mast.")],
    }
    asked = [{"question": "Where is the varnish?", "answer": "in the shed", "evidence": ["D1:2"], "category": 4}]
    file = written(tmp_path / "l.json", [{"sample_id": "c-1", "conversation": talk, "qa": asked}])
    done = subprocess.run(
        [sys.executable, BENCH / "retrieval.py", "--locomo", file, "--json"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (about,) = report["datasets"].values()
    assert {key: about[key] for key in ("documents", "questions", "left out")} == {
        "documents": 2,
        "questions": 1,
        "left out": 0,
    }
    everything = {row["what"]: row for row in report["rows"]}
    best = {"R@1": 100, "R@5": 100, "R@10": 100, "MRR": 100}
    assert everything["locomo, lexical, all"].items() >= {**best, "plain MRR": 100, "ratio": 1}.items()
    assert everything["locomo, ingest"].items() >= {"documents": 2, "turns": 4}.items()
    assert everything["locomo, lexical, turns"].items() >= best.items()
