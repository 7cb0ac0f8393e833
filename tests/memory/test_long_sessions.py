"""A session of ten thousand observations in three languages, written up by a model that takes no token too many."""

import re
from datetime import timedelta

from ai_memory.llm.chat import ModelError
from ai_memory.model.event import Kind, Observation, Scrubbed, ToolCall
from ai_memory.store.rawlog import Entry
from tests.compile.test_consolidate_budget import TEXTS, counted, request
from tests.memory.conftest import World
from tests.memory.scripted import Scripted

COUNT, LIMIT = 10_000, 300_000
FAILING = 2


class Strict(Scripted):
    """Counts each request as a vendor does, fails once at the second, and writes one page about the last part."""

    def __init__(self):
        super().__init__(self.reply)
        self.sizes = []

    def reply(self, ask):
        self.sizes.append(counted(request(ask)))
        if self.sizes[-1] > LIMIT:
            return ModelError(f"{self.sizes[-1]} tokens are too many", "terminal")
        if len(self.sizes) == FAILING:
            return ModelError("m-1 had a bad day", "terminal")
        last = [said for said in ("Round each line.", "Round on the total.") if said in ask.user][-1:]
        return {"updates": [page(said) for said in last], "drop": [], "rationale": ""}


def page(body):
    return {
        "path": "decisions/rounding.md",
        "title": "Rounding",
        "kind": "decision",
        "tier": "semantic",
        "summary": "",
        "body_markdown": body,
        "tags": [],
        "evidence": [body],
        "slot_kind": "none",
        "supersedes": "",
    }


def work(began):
    """Ten thousand observations but two: work in three languages, and a correction at the end."""
    texts = list(TEXTS.values())
    for n in range(COUNT - 3):
        tool = ToolCall("Bash", "success", command=Scrubbed(f"run {n}"))
        text, at = Scrubbed(texts[n % 3][:10]), began + timedelta(seconds=n)
        yield Observation(at, Kind.POST_TOOL_USE, "claude-code", "/srv/shop", Scrubbed("Bash"), text, tool=tool)
    said, at = Scrubbed("No: the accountants sum first. Round on the total."), began + timedelta(seconds=COUNT)
    yield Observation(at, Kind.USER_PROMPT, "claude-code", "/srv/shop", said, said)


def test_every_request_stays_below_the_limit_a_failed_part_is_all_that_is_paid_again_and_the_correction_wins(
    tmp_path, ids
):
    chat = Strict()
    world = World(tmp_path, chat_of=chat)
    world.close()
    memory = world.open(consolidation__max_input_tokens=LIMIT)
    world.says(ids[0], "session-start")
    world.says(ids[0], "user-prompt", prompt="Round each line.")
    project, session = memory.sessions.part(ids[0], None)
    memory.stores.rawlog.append([Entry(project, session.id, ids[0], list(work(world.now)))])
    world.close()
    memory = world.open(consolidation__max_input_tokens=LIMIT)
    project, session = memory.sessions.part(ids[0], None)
    assert session.observations == COUNT
    job = memory.consolidation.begin(session, pages=True)
    while memory.jobs.run_due():
        pass
    assert (memory.stores.state.jobs.job(job.id).state, len(chat.sizes)) == ("failed", FAILING)
    memory.jobs.retry(job.id)
    while memory.jobs.run_due():
        pass
    done = memory.stores.state.jobs.job(job.id)
    assert done.state == "done", done.error
    parts = int(re.search(r"part 1 of (\d+)", chat.asked[0].user)[1])
    assert FAILING < parts <= 5
    assert len(chat.sizes) == FAILING + parts - FAILING + 1
    assert max(chat.sizes) <= LIMIT
    text = memory.stores.wiki.read(project, "decisions/rounding.md")
    assert text.endswith("# Rounding\n\nRound on the total.\n")
    world.close()
