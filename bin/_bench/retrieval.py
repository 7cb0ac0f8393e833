"""`bin/bench retrieval`: how well a real server finds what answers a question, and how fast.

A dataset goes in through `/hook/batch` (conversations) or `/admin/write-page` (documents), each question is asked
through `/admin/search`. The reference is BM25 of SQLite over the same texts, one row a document, with the commonest
English words left out of the question. R@k is the share of the documents that answer a question among the first k,
MRR the mean of 1 / the place of the first of them in ten.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from _datasets import Dataset, Page, Question, Session, datasette_changelog, devmembench, locomo, longmemeval
from _load import ROOT, report
from _plain import Plain, any_word
from _server import HYBRID, PLAIN, Server, install_model

LIMIT = 10
BATCH = 128
NAMED = {"devmembench": devmembench, "datasette-changelog": datasette_changelog}
_EVENTS = {
    "user": ("user-prompt", "UserPromptSubmit", "prompt"),
    "assistant": ("stop", "Stop", "last_assistant_message"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question got: paths and turns, best first, milliseconds, and characters of the first five hits."""

    question: Question
    paths: Sequence[str]
    turns: Sequence[tuple[str, int]]
    ms: float
    characters: int


class Replay:
    """A dataset on its way into a server.

    Attributes:
        dropped: events that the server did not keep, by what it said of them.
        said: of each session the places of its turns in its log, where they were kept.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.dropped: dict[str, int] = {}
        self.said: dict[str, list[int | None]] = {}

    def run(self, documents: Sequence[Session] | Sequence[Page]) -> float:
        """Send everything, wait until it is compiled; gives seconds."""
        begun = time.perf_counter()
        waiting: list[tuple[dict[str, object], Session, bool]] = []
        for document in documents:
            if isinstance(document, Page):
                page = {"workspace": "default", "project": document.project, "path": document.path}
                self._server.post("/admin/write-page", {**page, "title": document.title, "body": document.body})
                continue
            for item, is_turn in _events(document):
                waiting.append((item, document, is_turn))
                if len(waiting) == BATCH:
                    self._send(waiting)
        if waiting:
            self._send(waiting)
        self._server.settle()
        return time.perf_counter() - begun

    def _send(self, waiting: list[tuple[dict[str, object], Session, bool]]) -> None:
        results = self._server.post("/hook/batch", [item for item, _, _ in waiting])["results"]
        for (_, session, is_turn), result in zip(waiting, results, strict=True):
            is_stored = result["outcome"] == "stored"
            if not is_stored:
                self.dropped[result["outcome"]] = self.dropped.get(result["outcome"], 0) + 1
            if is_turn:
                kept = self.said.setdefault(session.path, [])
                # The start of the session is the first in its log.
                kept.append(1 + sum(n is not None for n in kept) if is_stored else None)
        waiting.clear()

    def turns_of(self, question: Question) -> set[tuple[str, int]]:
        """Name the turns that answer a question as hits name them: by their places in the logs."""
        placed = ((path, self.said[path][n]) for path, n in question.turns)
        return {(path, n) for path, n in placed if n is not None}


def _events(session: Session) -> Iterator[tuple[dict[str, object], bool]]:
    """Write a session as its hooks would, with the session's own time; tells which events are its turns."""
    cwd = f"/srv/{session.project}"
    events = [("session-start", "SessionStart", {})]
    events += [(stem, name, {key: text}) for stem, name, key, text in
               ((*_EVENTS[role], text) for role, text in session.turns)]  # fmt: skip
    events += [("session-end", "SessionEnd", {})]
    for number, (stem, name, body) in enumerate(events):
        key = uuid.uuid5(uuid.UUID(session.id), str(number)).hex
        frame = {"session_id": session.id, "cwd": cwd, "hook_event_name": name}
        occurred = {"occurred_at": (session.at + timedelta(seconds=number)).isoformat()}
        url = f"/hook?event={stem}&agent=claude-code&cwd={cwd}&repo_root={cwd}&ingest_key={key}"
        yield {"url": url, "body": {**frame, **occurred, **body}}, 0 < number < len(events) - 1


def ask(server: Server, questions: Sequence[Question]) -> list[Answer]:
    """Ask everything, one question after the other."""
    server.get("/admin/search", q="warm up", limit=str(LIMIT))
    answers = []
    for question in questions:
        where = {"workspace": "default", "project": question.project} if question.project else {}
        begun = time.perf_counter()
        hits = server.get("/admin/search", q=question.text, limit=str(LIMIT), **where)
        ms = (time.perf_counter() - begun) * 1000
        turns = [(hit["path"], hit["turn"]["n"]) for hit in hits if hit.get("turn")]
        shown = sum(len(hit["title"]) + len(hit["snippet"]) for hit in hits[:5])
        answers.append(Answer(question, [hit["path"] for hit in hits], turns, ms, shown))
    return answers


def ask_plain(dataset: Dataset) -> list[Answer]:
    """Ask the reference."""
    plain = Plain((document.path, document.project, document.text) for document in dataset.documents)
    answers = []
    for question in dataset.questions:
        begun = time.perf_counter()
        paths = plain.search(any_word(question.text), LIMIT, question.project)
        answers.append(Answer(question, paths, (), (time.perf_counter() - begun) * 1000, 0))
    return answers


def quality(found: Sequence[tuple[Collection[Any], Sequence[Any]]]) -> dict[str, float]:
    """Give the means over questions, in per cent.

    Args:
        found: of each question what answers it, and what was found, best first.
    """
    recalls = {
        f"R@{k}": statistics.fmean(len(set(gold) & set(paths[:k])) / len(gold) for gold, paths in found)
        for k in (1, 5, 10)
    }
    places = (next((n for n, path in enumerate(paths, 1) if path in gold), 0) for gold, paths in found)
    recalls["MRR"] = statistics.fmean(1 / place if place else 0.0 for place in places)
    return {name: round(100 * share, 1) for name, share in recalls.items()}


def rows_of(
    name: str, how: str, answers: Sequence[Answer], plain: Sequence[Answer], replay: Replay
) -> list[dict[str, object]]:
    """Compare answers with those of the reference: each category, all, turns, and what a request costs."""
    kinds = sorted({answer.question.kind for answer in answers})
    rows: list[dict[str, object]] = []
    for kind in [*(kinds if len(kinds) > 1 else []), ""]:
        ours, theirs = (
            quality([(each.question.gold, each.paths) for each in some if kind in ("", each.question.kind)])
            for some in (answers, plain)
        )
        rows.append(
            {
                "what": f"{name}, {how}, {kind or 'all'}",
                "questions": sum(kind in ("", answer.question.kind) for answer in answers),
                **ours,
                "plain R@5": theirs["R@5"],
                "plain MRR": theirs["MRR"],
                "ratio": round(ours["MRR"] / theirs["MRR"], 3) if theirs["MRR"] else None,
            }
        )
    named = [(gold, answer.turns) for answer in answers if (gold := replay.turns_of(answer.question))]
    if named:
        rows.append({"what": f"{name}, {how}, turns", "questions": len(named), **quality(named)})
    times, reference = (sorted(answer.ms for answer in some) for some in (answers, plain))
    tokens = statistics.fmean(answer.characters / 4 for answer in answers)
    rows.append(
        {
            "what": f"{name}, {how}, requests",
            "p50 ms": round(statistics.median(times), 2),
            "p95 ms": round(times[int(len(times) * 0.95)], 2),
            "tokens of five hits": round(tokens),
            "plain p50 ms": round(statistics.median(reference), 2),
            "ratio": round(statistics.median(times) / statistics.median(reference), 2),
        }
    )
    return rows


def measure(dataset: Dataset, model: Path | None) -> list[dict[str, object]]:
    """Replay a dataset into a new server, ask by words, and with a model a second time by meaning too."""
    plain = ask_plain(dataset)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Server(folder, PLAIN) as server:
            replay = Replay(server)
            seconds = replay.run(dataset.documents)
            rows = rows_of(dataset.name, "lexical", ask(server, dataset.questions), plain, replay)
        if model:
            install_model(folder / "data", model)
            begun = time.perf_counter()
            with Server(folder, HYBRID) as server:
                server.settle()
                embedded = time.perf_counter() - begun
                rows += rows_of(dataset.name, "hybrid", ask(server, dataset.questions), plain, replay)
    turns = sum(len(document.turns) for document in dataset.documents if isinstance(document, Session))
    rows.append(
        {
            "what": f"{dataset.name}, ingest",
            "documents": len(dataset.documents),
            "turns": turns,
            "s": round(seconds, 1),
            **({"turns/s": round(turns / seconds)} if turns else {"pages/s": round(len(dataset.documents) / seconds)}),
            **({"embedding s": round(embedded, 1)} if model else {}),
            **({"not kept": replay.dropped} if replay.dropped else {}),
        }
    )
    return rows


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="bin/bench retrieval", description="Recall and latency of search.")
    parser.add_argument("--dataset", choices=[*NAMED, "all"], help="one of --data (all, unless a file is named)")
    parser.add_argument("--locomo", type=Path, metavar="FILE", help="also LoCoMo: locomo10.json")
    parser.add_argument("--longmemeval", type=Path, metavar="FILE", help="also LongMemEval: longmemeval_s.json")
    default = Path(os.environ.get("AI_MEMORY_BENCH_DATA") or ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=default, metavar="DIR", help="(AI_MEMORY_BENCH_DATA)")
    parser.add_argument("--hybrid", type=Path, metavar="DIR", help="measure with the embedding model in DIR as well")
    parser.add_argument("--limit-docs", type=int, metavar="N", help="the first N documents of each dataset only")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    wanted = chosen.dataset or ("" if chosen.locomo or chosen.longmemeval else "all")
    sources = [(read, chosen.data / name) for name, read in NAMED.items() if wanted in (name, "all")]
    sources += [(read, file) for read, file in ((locomo, chosen.locomo), (longmemeval, chosen.longmemeval)) if file]
    for path in (path for _, path in sources if not path.exists()):
        parser.error(f"{path} does not exist: say with --data (or AI_MEMORY_BENCH_DATA) where the datasets are")
    if chosen.hybrid and not chosen.hybrid.is_dir():
        parser.error(f"{chosen.hybrid} does not exist: name the folder of the model")
    datasets = [read(path) for read, path in sources]
    if chosen.limit_docs:
        datasets = [dataset.first(chosen.limit_docs) for dataset in datasets]
    for dataset in datasets:
        if not dataset.questions:
            parser.error(
                f"nothing that is asked in {dataset.name} is answered by these {len(dataset.documents)} documents"
            )
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    about: dict[str, object] = {
        "commit": described.stdout.strip() or "unknown",
        "settings": {"lexical": PLAIN, **({"hybrid": HYBRID} if chosen.hybrid else {})},
        "datasets": {
            each.name: {
                "sha256": each.sha256,
                "documents": len(each.documents),
                "questions": len(each.questions),
                "left out": each.left_out,
            }
            for each in datasets
        },
    }
    report([row for dataset in datasets for row in measure(dataset, chosen.hybrid)], about)


if __name__ == "__main__":
    main()
