"""memory_lint where a model compares the pages."""

import pytest

from ai_memory.llm.chat import ModelError
from tests.memory.conftest import World
from tests.memory.scripted import Scripted
from tests.server.mcp.conftest import Desk
from tests.server.mcp.test_wiki_consolidate import SHOP, working

ANSWER = {
    "findings": [
        {
            "pages": ["concepts/vat.md", "decisions/round.md"],
            "quotes": ["VAT is rounded on each line", "VAT is rounded on the invoice"],
            "message": "They disagree.",
            "severity": "warning",
        }
    ]
}


@pytest.fixture
def desk(tmp_path):
    chat = Scripted(ANSWER)
    world = World(tmp_path, chat_of=chat)
    world.memory.projects.create("default", "shop")
    desk = Desk(world)
    desk.chat = chat
    desk.write("concepts/vat.md", "VAT is rounded on each line.")
    desk.write("decisions/round.md", "VAT is rounded on the invoice.")
    yield desk
    world.close()


def test_a_model_compares_the_pages_unless_nobody_wants_it(desk):
    with working(desk):
        for how in ({"no_llm": True}, {"dry_run": True}):
            assert desk.call("memory_lint", **SHOP, **how)["findings"] == []
        assert desk.chat.asked == []
        told = desk.call("memory_lint", **SHOP)
        (job,) = desk.memory.jobs.latest()
        assert told["model"] == {"job_id": str(job.id), "pairs": 1, "problem": None}
        assert [(each["kind"], each["pages"]) for each in told["findings"]] == [
            ("contradiction", ["concepts/vat.md", "decisions/round.md"])
        ]
        desk.chat.answers = [ModelError("it answered in prose", "unparsable")]
        failed = desk.call("memory_lint", **SHOP)
        assert failed["model"]["problem"] == "it answered in prose"
        assert failed["findings"] == told["findings"]
