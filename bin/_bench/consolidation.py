"""`bin/bench consolidation --provider anthropic`: how well a real model writes up five small sessions, at what cost.

For each session it asks for the small pages that a consolidation writes, through a memory of its own: whether the
answer could be read, how long it took, its tokens and dollars, and which share of the proposed pages stands on the
session. The reference is the page that rules make of the same session. Keys come from the environment, as for `serve`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from _load import ROOT, report

sys.path.insert(0, str(ROOT))

from ai_memory.compile.session_page import session_path
from ai_memory.config import load_settings
from ai_memory.memory.intake import Delivery
from ai_memory.memory.memory import Memory

_SESSIONS = Path(__file__).parent / "sessions.json"
_PLACE = {"agent": "claude-code", "cwd": "/srv/shop", "repo_root": "/srv/shop"}


def recorded(memory: Memory, events: list[tuple[str, dict[str, Any]]]) -> str:
    """Record a session, to its end; gives its id."""
    session = str(uuid.uuid4())
    for event, body in [("session-start", {}), *events, ("session-end", {})]:
        query = {**_PLACE, "event": event, "ingest_key": uuid.uuid4().hex}
        memory.intake.record([Delivery(query, json.dumps({"session_id": session, **body}).encode())])
    return session


def rated(memory: Memory, name: str, events: list[tuple[str, dict[str, Any]]]) -> dict[str, object]:
    """Have one session written up; gives its row of the table.

    Raises:
        SystemExit: nobody could be asked.
    """
    session_id = recorded(memory, events)
    begun = time.perf_counter()
    memory.sessions.settle()
    rules = time.perf_counter() - begun
    project, session = memory.sessions.part(session_id, None)
    before = total(memory)
    begun = time.perf_counter()
    job = memory.consolidation.begin(session, pages=True)
    while memory.jobs.run_due():
        pass
    seconds = time.perf_counter() - begun
    job = memory.stores.state.jobs.job(job.id) or job
    used = {key: value - before[key] for key, value in total(memory).items()}
    if not used["calls"]:
        raise SystemExit(f"nobody could be asked: {job.error}")
    pages = [each["path"] for each in job.outcome.get("outcomes", []) if "new_title" in each]
    refused = len(job.outcome.get("refused", []))
    return {
        "session": name,
        "read": job.state == "done",
        "s": round(seconds, 1),
        "calls": int(used["calls"]),
        "tokens in": int(used["tokens_in"]),
        "tokens out": int(used["tokens_out"]),
        "dollars": None if used["unpriced_calls"] else round(used["cost"], 4),
        "pages": len(pages),
        "refused": refused,
        "grounded": round(len(pages) / (len(pages) + refused), 2) if pages or refused else None,
        "by rules s": round(rules, 2),
        "by rules characters": len(memory.pages.read(project, session_path(session.id)).body),
        "wrote": ", ".join(pages) or job.error or "nothing",
    }


def total(memory: Memory) -> dict[str, float]:
    """Add up what was asked so far."""
    found: Any = memory.models.usage()["total"]
    return dict(found)


def summed(rows: list[dict[str, Any]]) -> dict[str, object]:
    """Add the rows up: the share that could be read, the median of the time, the sums, the share that stands."""
    pages, refused = (sum(row[key] for row in rows) for key in ("pages", "refused"))
    priced = [row["dollars"] for row in rows]
    return {
        "session": f"all {len(rows)}",
        "read": f"{sum(row['read'] for row in rows)} of {len(rows)}",
        "s": sorted(row["s"] for row in rows)[len(rows) // 2],
        **{key: sum(row[key] for row in rows) for key in ("calls", "tokens in", "tokens out")},
        "dollars": None if None in priced else round(sum(priced), 4),
        "pages": pages,
        "refused": refused,
        "grounded": round(pages / (pages + refused), 2) if pages or refused else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="bin/bench consolidation", description=__doc__)
    parser.add_argument("--provider", help="anthropic, openai, gemini, openai-compat, ...: see llm_provider")
    parser.add_argument("--model", help="another model than the provider's usual one")
    parser.add_argument("--base-url", help="where openai-compat is asked")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asks = parser.parse_args()
    if not asks.provider:
        raise SystemExit(
            "this asks a real model and costs money: name one with --provider, for example --provider anthropic with "
            "ANTHROPIC_API_KEY in the environment. Without a key there is nothing to rate"
        )
    flags = {"llm_provider": asks.provider, "llm_model": asks.model, "llm_base_url": asks.base_url}
    with tempfile.TemporaryDirectory() as folder:
        memory = Memory(load_settings(Path(folder), flags=flags))
        try:
            rows = [rated(memory, each["name"], each["events"]) for each in json.loads(_SESSIONS.read_text("utf-8"))]
            chat = memory.models.chat
        finally:
            memory.close()
    report([*rows, summed(rows)], {"model": f"{chat.model} of {chat.provider}" if chat else ""})


if __name__ == "__main__":
    main()
