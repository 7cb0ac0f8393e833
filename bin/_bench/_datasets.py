"""Retrieval datasets: documents, and questions that name the documents which answer them."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_EVIDENCE = re.compile(r"D(\d+):(\d+)")
_LOCOMO_KINDS = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation.

    Attributes:
        name: unique in its dataset.
        project: where it took place.
        at: when it began.
        turns: who spoke ("user" or "assistant"), and what was said.
    """

    name: str
    project: str
    at: datetime
    turns: tuple[tuple[str, str], ...]

    @property
    def id(self) -> str:
        """The session's UUID, the same in every run."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, self.name))

    @property
    def path(self) -> str:
        """The page that the server makes of it, as hits name it."""
        return f"sessions/{self.id}.md"

    @property
    def text(self) -> str:
        """Everything that was said, below the date."""
        return "\n".join([f"{self.at:%A %d %B %Y}", *(text for _, text in self.turns)])


@dataclass(frozen=True, slots=True)
class Page:
    """A document that is no conversation: the path of its page, title and body."""

    path: str
    project: str
    title: str
    body: str

    @property
    def text(self) -> str:
        """All that it says."""
        return f"{self.title}\n{self.body}"


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its category, and what answers it.

    Attributes:
        text: as somebody asks it.
        kind: its category.
        gold: paths of the documents that answer it.
        turns: path and place (from 0) of the turns that answer it, where the dataset names them.
        project: ask there; "" asks everywhere.
    """

    text: str
    kind: str
    gold: frozenset[str]
    turns: frozenset[tuple[str, int]] = frozenset()
    project: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is read from files.

    Attributes:
        name: for the report.
        sha256: of the files, in the order in which they are read.
        documents: all of one kind.
        questions: those that something answers.
        left_out: how many questions nothing answers (abstention), or nothing that was kept.
    """

    name: str
    sha256: str
    documents: tuple[Session, ...] | tuple[Page, ...]
    questions: tuple[Question, ...]
    left_out: int

    def first(self, count: int) -> Dataset:
        """Keep so many documents, and the questions that they answer."""
        documents = self.documents[:count]
        paths = {document.path for document in documents}
        questions = tuple(question for question in self.questions if question.gold <= paths)
        left_out = self.left_out + len(self.questions) - len(questions)
        return replace(self, documents=documents, questions=questions, left_out=left_out)


def devmembench(folder: Path) -> Dataset:
    """Read DevMemBench: sessions.json and questions.json."""
    files = folder / "sessions.json", folder / "questions.json"
    sessions = {
        each["sessionId"]: Session(
            each["sessionId"],
            each["metadata"]["project"],
            datetime.fromisoformat(each["metadata"]["date"]).replace(tzinfo=UTC),
            tuple((message["role"], message["content"]) for message in each["messages"]),
        )
        for each in _json(files[0])
    }
    questions = (
        Question(
            each["question"],
            each["questionType"],
            frozenset(sessions[name].path for name in each["haystackSessionIds"]),
        )
        for each in _json(files[1])
    )
    return _dataset("devmembench", files, sessions.values(), questions)


def datasette_changelog(folder: Path) -> Dataset:
    """Read the changelog of datasette in BEIR's layout: the commits that a line of it tells of."""
    files = folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / "test.tsv"
    pages = {}
    for each in _lines(files[0]):
        first, _, rest = each["text"].strip().partition("\n")
        title, body = (each["title"], each["text"]) if each["title"] else (first, rest.strip())
        pages[each["_id"]] = Page(f"commits/{each['_id']}.md", "datasette", title, body)
    gold: dict[str, set[str]] = {}
    with files[2].open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows, delimiter="\t"):
            if int(row["score"]) > 0:
                gold.setdefault(row["query-id"], set()).add(pages[row["corpus-id"]].path)
    questions = (Question(each["text"], "changelog", frozenset(gold.get(each["_id"], ()))) for each in _lines(files[1]))
    return _dataset("datasette-changelog", files, pages.values(), questions)


def locomo(file: Path) -> Dataset:
    """Read LoCoMo: conversations of two people, each in a project of its own; questions are asked everywhere."""
    sessions, questions = [], []
    for sample in _json(file):
        talk, places = sample["conversation"], {}
        for number in sorted(int(found[1]) for key in talk if (found := re.fullmatch(r"session_(\d+)", key))):
            said = [turn for turn in talk[f"session_{number}"] if turn["text"].strip()]
            if not said:
                continue
            at = datetime.strptime(talk[f"session_{number}_date_time"], "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
            turns = tuple((_role(turn["speaker"], talk), f"{turn['speaker']}: {turn['text']}") for turn in said)
            session = Session(f"{sample['sample_id']}/{number}", sample["sample_id"], at, turns)
            sessions.append(session)
            places |= {_EVIDENCE.findall(turn["dia_id"])[0]: (session.path, n) for n, turn in enumerate(said)}
        for each in sample["qa"]:
            # Some of them name several turns in one text, some a turn that there is not.
            named = [place for text in each["evidence"] for place in _EVIDENCE.findall(text)]
            found_turns = frozenset(places[place] for place in named if place in places)
            kind = _LOCOMO_KINDS.get(each["category"], str(each["category"]))
            questions.append(Question(each["question"], kind, frozenset(path for path, _ in found_turns), found_turns))
    return _dataset("locomo", [file], sessions, questions)


def longmemeval(file: Path) -> Dataset:
    """Read LongMemEval: each question has sessions of its own, which are one project, and is asked there."""
    sessions, questions = [], []
    for each in _json(file):
        project, found = each["question_id"], {}
        haystack = zip(each["haystack_session_ids"], each["haystack_dates"], each["haystack_sessions"], strict=True)
        for name, date, messages in haystack:
            at = datetime.strptime(date, "%Y/%m/%d (%a) %H:%M").replace(tzinfo=UTC)
            turns = tuple((turn["role"], turn["content"]) for turn in messages if turn["content"].strip())
            found.setdefault(name, Session(f"{project}/{name}", project, at, turns))
        sessions += found.values()
        # Questions with this ending ask for what was never said, and name the sessions that only seem to say it.
        names = () if project.endswith("_abs") else each["answer_session_ids"]
        gold = frozenset(found[name].path for name in names)
        questions.append(Question(each["question"], each["question_type"], gold, project=project))
    return _dataset("longmemeval", [file], sessions, questions)


def _role(speaker: str, talk: dict[str, Any]) -> str:
    first = talk.get("speaker_a") or talk["session_1"][0]["speaker"]
    return "user" if speaker == first else "assistant"


def _dataset(
    name: str,
    files: Iterable[Path],
    documents: Iterable[Session] | Iterable[Page],
    questions: Iterable[Question],
) -> Dataset:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    asked = tuple(questions)
    answered = tuple(question for question in asked if question.gold)
    return Dataset(name, digest.hexdigest(), tuple(documents), answered, len(asked) - len(answered))


def _json(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
