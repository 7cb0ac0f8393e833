"""`bin/bench bootstrap`: what a repository of 20,000 commits says of itself, collected and cut into questions.

The reference is `git log` alone, with the same format, thrown away. The peak is that of a process which does no more.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _load import ROOT, report

sys.path.insert(0, str(ROOT))

from ai_memory.cli.bootstrap_sources import Wanted, collect
from ai_memory.compile.sources import planned
from ai_memory.config import load_settings
from ai_memory.llm.asking import Answer, Ask
from ai_memory.memory.bootstrapping import Options
from ai_memory.memory.memory import Memory
from ai_memory.memory.pages import NOBODY
from ai_memory.model.scope import Routing

COMMITS, MODULES, DOCUMENTS = 20_000, 2_000, 200
ANSWER = "--collect"


def fill(repo: Path) -> None:
    """Make the repository: a history without a work tree, and files that are not in it."""
    subprocess.run(["git", "init", "-q", "-b", "main", str(repo)], check=True)
    lines = []
    for number in range(COMMITS):
        body = f"fix(cart): total {number}\n\n" + "The partners read the table directly, so it stays as it was. " * 8
        data = body.encode()
        when = 1_500_000_000 + number * 3_600
        lines.append(b"commit refs/heads/main\ncommitter A <a@b.c> %d +0000\ndata %d\n%s\n" % (when, len(data), data))
    subprocess.run(["git", "-C", str(repo), "fast-import", "--quiet"], input=b"".join(lines), check=True)
    for number in range(MODULES):
        file = repo / f"src/{number // 100:02}/module_{number:04}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'"""Module {number} keeps carts until they are paid for."""\n' + "a = 1\n" * 400)
    for number in range(DOCUMENTS):
        file = repo / f"docs/part/{number:03}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# Part {number}\n\n" + "Carts are kept until they are paid for. " * 100)
    (repo / "README.md").write_text("# Shop\n")


def collected(repo: Path) -> None:
    """Collect, plan and write what a model of our own answers; in a process of its own, for its peak of memory."""
    begun = time.perf_counter()
    found = collect(repo, Wanted(most_tokens=150_000))
    limits = {"max_input_tokens": 150_000, "chunk_input_tokens": 24_000}
    plan = planned(found.sources, **limits, collected=found.collected)
    seconds = time.perf_counter() - begun
    memory = Memory(load_settings(repo.parent / "data"))
    options = Options(**limits, collected=found.collected)
    place = Routing(cwd=str(repo), repo_root=str(repo))
    outcome = memory.bootstrapping.run(place, plan.sources, options, NOBODY, answered, lambda *_: None)
    whole = time.perf_counter() - begun
    memory.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)
    pages = len(outcome.pages)
    print(json.dumps({"seconds": seconds, "whole": whole, "pages": pages, "peak": peak, **plan.as_json()}))


def answered(ask: Ask) -> Answer:
    """Make five pages of a question, as a model would."""
    label = ask.user.splitlines()[1].split(": ")[-1]
    pages = [
        {"path": f"concepts/{label} {n}", "title": "Carts", "body_markdown": "They are kept.", "tags": []}
        for n in range(5)
    ]
    return Answer("", {"pages": pages, "rationale": "So."}, "own", "own", 0, 0, 0.0)


def main() -> None:
    if sys.argv[1:2] == [ANSWER]:
        collected(Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        repo = Path(folder) / "shop"
        fill(repo)
        answer = subprocess.run(
            [sys.executable, __file__, ANSWER, str(repo)], check=True, capture_output=True, text=True
        ).stdout
        begun = time.perf_counter()
        log = ["git", "-C", str(repo), "log", "-z", "--format=%H%n%an%n%aI%n%s%n%b", "HEAD"]
        subprocess.run(log, check=True, stdout=subprocess.DEVNULL)
        alone = time.perf_counter() - begun
    told = json.loads(answer)
    report(
        [
            {
                "what": f"{COMMITS:,} commits, {MODULES:,} modules, {DOCUMENTS:,} documents",
                "sources": told["sources_collected"],
                "sent": told["sources_sent"],
                "questions": told["llm_chunks"],
                "s": round(told["seconds"], 2),
                "with pages written s": round(told["whole"], 2),
                "pages": told["pages"],
                "peak MB": round(told["peak"]),
                "git log alone s": round(alone, 2),
                "ratio": round(told["seconds"] / alone, 2),
            }
        ]
    )


if __name__ == "__main__":
    main()
