"""`bin/bench search`: how long a search takes, with 1,000 and with 10,000 pages and ten turns to each page.

A tenth of the pages are those of sessions, which went through intake and compile; the others were written by people.
Words are as frequent as in a language (Zipf), one in thirty is an identifier. The reference is SQLite's own BM25 with
the same expression, in this process, over the same texts: one row a page or turn.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from _load import ROOT, Load, question, report, request, run_load
from _plain import STOP_WORDS, Plain
from _server import HYBRID, PLAIN, Server, install_model

sys.path.insert(0, str(ROOT))

from ai_memory.config import load_settings
from ai_memory.memory.intake import Delivery
from ai_memory.memory.memory import Memory
from ai_memory.model.event import Scrubbed
from ai_memory.model.scope import Routing
from ai_memory.search.query import match_of

PAGES = (1_000, 10_000)
PROJECTS, TURNS, QUESTIONS, CLIENTS, BATCH = 10, 100, 240, 10, 128
VOCABULARY, IDENTIFIERS = 20_000, 2_000
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
_SYLLABLES = [a + b for a in "bcdfghklmnprstvwz" for b in ("a", "e", "i", "o", "u", "an", "er", "in", "or", "al")]
_TURNS = (
    ("user-prompt", lambda text: {"prompt": text}),
    ("post-tool-use", lambda text: {"tool_name": "Bash", "tool_input": {"command": "make"}, "tool_response": text}),
    ("stop", lambda text: {"last_assistant_message": text}),
)
_SAID = ("prompt", "tool_response", "last_assistant_message")


class Writer:
    """Writes texts that are the same in every run."""

    def __init__(self) -> None:
        self.random = random.Random(7)
        words = dict.fromkeys(STOP_WORDS)
        while len(words) < VOCABULARY:
            words["".join(self.random.choices(_SYLLABLES, k=self.random.randint(2, 4)))] = None
        self.words = list(words)
        self._weights = list(itertools.accumulate(1 / (place + 2.7) for place in range(VOCABULARY)))
        rare = self.words[1_000:]
        joined = ("{}_{}".format, "{}-{}".format, "{}.{}".format, lambda a, b: a + b.title())
        self.identifiers = [
            self.random.choice(joined)(*self.random.choices(rare, k=2)) for _ in range(IDENTIFIERS)
        ]  # fmt: skip

    def text(self, count: int) -> str:
        """Write so many words."""
        words = self.random.choices(self.words, cum_weights=self._weights, k=count)
        for place in range(self.random.randrange(30), count, 30):
            words[place] = self.random.choice(self.identifiers)
        return " ".join(words)

    def question(self, number: int) -> str:
        """Write a question of one to ten words: of four one of frequent words alone, and one with an identifier."""
        count = self.random.randint(1, 10)
        if number % 4 == 0:
            return " ".join(self.random.choices(self.words[len(STOP_WORDS) : len(STOP_WORDS) + 100], k=count))
        words = self.random.choices(self.words, cum_weights=self._weights, k=count)
        words[0] = self.random.choice(self.identifiers) if number % 4 == 1 else self.random.choice(self.words[200:])
        return " ".join(words)

    def session(self, project: int) -> Iterator[tuple[str, dict[str, object]]]:
        """Write the events of a session, its turns between start and end: event and payload."""
        session = {"session_id": str(uuid.UUID(int=self.random.getrandbits(128), version=4)), "cwd": cwd_of(project)}
        at = BEGUN + timedelta(minutes=self.random.randrange(400_000))
        kinds = itertools.islice(itertools.cycle(_TURNS), TURNS)
        turns = [(event, made(self.text(self.random.randint(20, 200)))) for event, made in kinds]
        for number, (event, body) in enumerate([("session-start", {}), *turns, ("session-end", {})]):
            yield event, {**session, "occurred_at": (at + timedelta(seconds=number)).isoformat(), **body}


def cwd_of(project: int) -> str:
    """Name the directory of a project."""
    return f"/srv/project{project}"


def items_of(events: Iterator[tuple[str, dict[str, object]]]) -> list[dict[str, object]]:
    """Write events as `/hook/batch` takes them."""
    return [
        {"url": f"/hook?event={event}&agent=claude-code&cwd={body['cwd']}&repo_root={body['cwd']}", "body": body}
        for event, body in events
    ]


def build(data: Path, pages: int, writer: Writer) -> list[tuple[str, str, str]]:
    """Make a data directory; gives key, project and text of everything in it, for the reference."""
    memory = Memory(load_settings(data))
    texts = []
    for number in range(pages // 10):
        project = number % PROJECTS
        events = list(writer.session(project))
        memory.intake.record([Delivery(None, json.dumps(items_of(iter(events))).encode())])
        memory.sessions.settle()
        said = [str(body[key]) for _, body in events for key in _SAID if key in body]
        texts += [(f"{number}/{n}", f"project{project}", text) for n, text in enumerate(said)]
    homes = [memory.projects.ensure(Routing(cwd=cwd_of(n), repo_root=cwd_of(n))).project for n in range(PROJECTS)]
    for n, home in enumerate(homes):
        made = {}
        for number in range((pages - pages // 10) // PROJECTS):
            title, body = writer.text(6), "\n\n".join(writer.text(writer.random.randint(20, 200)) for _ in range(2))
            made[f"notes/{number // 100:02}/{number:05}.md"] = Scrubbed(f"---\ntype: Note\n---\n# {title}\n\n{body}\n")
            texts.append((f"{n}/note/{number}", f"project{n}", f"{title}\n{body}"))
        memory.stores.wiki.commit(home, made, "notes", at=BEGUN)
    memory.outside.reconcile()
    memory.close()
    return texts


def asked(questions: Sequence[str], *, one_project: bool) -> list[bytes]:
    """Write questions as requests: everywhere, or each in one project."""
    return [
        question("/admin/search?" + urlencode({"q": text, "limit": 10, **(_place(n) if one_project else {})}))
        for n, text in enumerate(questions)
    ]


def _place(number: int) -> dict[str, str]:
    return {"workspace": "default", "project": f"project{number % PROJECTS}"}


def load(port: int, clients: int, requests: Sequence[bytes]) -> Load:
    """Send requests from some clients, each beginning elsewhere; every answer must be a good one."""
    each = len(requests) if clients == 1 else len(requests) // 4
    found = run_load(port, clients, each, lambda client, n: requests[(client * each + n) % len(requests)])
    if set(found.statuses) - {200, 202}:
        raise SystemExit(f"unexpected answers: {found.statuses}")
    return found


def batches(writer: Writer, count: int) -> list[bytes]:
    """Write so many batches of turns."""
    events = itertools.chain.from_iterable(writer.session(number % PROJECTS) for number in itertools.count())
    return [
        request("/hook/batch", json.dumps(items_of(itertools.islice(events, BATCH))).encode()) for _ in range(count)
    ]


def ingest(port: int, sent: Sequence[bytes]) -> float:
    """Send batches one after the other; gives events a second."""
    return load(port, 1, sent).rate * BATCH


def both(port: int, requests: Sequence[bytes], sent: Sequence[bytes]) -> tuple[Load, float]:
    """Search for as long as another client sends batches; gives what the searches took, and events a second."""
    with ThreadPoolExecutor(1) as other:
        ingesting = other.submit(ingest, port, sent)
        found = [load(port, 1, requests[:20])]
        while not ingesting.done():
            found.append(load(port, 1, requests[20 * len(found) % QUESTIONS :][:20]))
    latencies = sorted(itertools.chain.from_iterable(each.latencies for each in found))
    return Load(latencies, statistics.harmonic_mean(each.rate for each in found), {}), ingesting.result()


def row(what: str, found: Load, reference: Sequence[float]) -> dict[str, object]:
    """Compare the times of requests with those of the reference (milliseconds)."""
    times = sorted(reference)
    p50 = statistics.median(times)
    return {
        "what": what,
        "p50 ms": round(found.p50, 1),
        "p95 ms": round(found.p95, 1),
        "answers/s": round(found.rate),
        "SQLite p50 ms": round(p50, 1),
        "SQLite p95 ms": round(times[int(len(times) * 0.95)], 1),
        "ratio": round(found.p50 / p50, 2),
    }


def plain_times(plain: Plain, questions: Sequence[str], *, one_project: bool) -> list[float]:
    """Time the reference, one question after the other."""
    times = []
    for number, text in enumerate(questions):
        match = match_of(text)
        begun = time.perf_counter()
        plain.search(match, 10, _place(number)["project"] if one_project else "")
        times.append((time.perf_counter() - begun) * 1000)
    return times


def ask(server: Server, what: str, questions: Sequence[str], plain: Plain) -> list[dict[str, object]]:
    """Ask a server in all the ways."""
    everywhere, one = asked(questions, one_project=False), asked(questions, one_project=True)
    server.get("/admin/search", q=questions[0])
    load(server.port, 1, everywhere[:20])
    in_all, in_one = (plain_times(plain, questions, one_project=scoped) for scoped in (False, True))
    return [
        row(f"{what}, all projects", load(server.port, 1, everywhere), in_all),
        row(f"{what}, one project", load(server.port, 1, one), in_one),
        row(f"{what}, all projects, {CLIENTS} clients", load(server.port, CLIENTS, everywhere), in_all),
        row(f"{what}, one project, {CLIENTS} clients", load(server.port, CLIENTS, one), in_one),
    ]


def ask_while_ingesting(
    server: Server, what: str, questions: Sequence[str], plain: Plain, writer: Writer
) -> dict[str, object]:
    """Ask a server to which events come."""
    alone = ingest(server.port, batches(writer, 24))
    found, kept = both(server.port, asked(questions, one_project=False), batches(writer, 80))
    return {
        **row(f"{what}, all projects, while events come in", found, plain_times(plain, questions, one_project=False)),
        "events/s": round(kept),
        "events/s without searches": round(alone),
        "kept": round(kept / alone, 2),
    }


def measure(pages: int, model: Path | None) -> list[dict[str, object]]:
    """Build, and ask by words, and with a model by meaning too."""
    writer = Writer()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begun = time.perf_counter()
        texts = build(folder / "data", pages, writer)
        built = time.perf_counter() - begun
        plain = Plain(texts)
        questions = [writer.question(number) for number in range(QUESTIONS)]
        size = sum(file.stat().st_size for file in (folder / "data" / "db").glob("index.db*")) / 1_000_000
        turns = pages // 10 * TURNS
        rows: list[dict[str, object]] = [
            {"what": f"{pages:,} pages, {turns:,} turns", "built in s": round(built, 1), "index MB": round(size, 1)}
        ]
        with Server(folder, PLAIN) as server:
            server.settle()
            rows += ask(server, f"{pages:,} pages, lexical", questions, plain)
            if not model:
                rows.append(ask_while_ingesting(server, f"{pages:,} pages, lexical", questions, plain, writer))
        if model:
            install_model(folder / "data", model)
            begun = time.perf_counter()
            with Server(folder, HYBRID) as server:
                server.settle()
                rows[0]["embedded in s"] = round(time.perf_counter() - begun, 1)
                rows += ask(server, f"{pages:,} pages, hybrid", questions, plain)
                rows.append(ask_while_ingesting(server, f"{pages:,} pages, hybrid", questions, plain, writer))
    return rows


def main() -> None:
    """Measure at each size."""
    parser = argparse.ArgumentParser(prog="bin/bench search", description="Latency of search.")
    parser.add_argument("--pages", type=int, action="append", metavar="N", help="so many pages (1,000 and 10,000)")
    parser.add_argument("--hybrid", type=Path, metavar="DIR", help="measure with the embedding model in DIR as well")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    if chosen.hybrid and not chosen.hybrid.is_dir():
        parser.error(f"{chosen.hybrid} does not exist: name the folder of the model")
    report([each for pages in chosen.pages or PAGES for each in measure(pages, chosen.hybrid)])


if __name__ == "__main__":
    main()
