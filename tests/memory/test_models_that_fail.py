"""Whatever a vendor does, a job comes to one visible state, the page is there, and the meter is right to the token."""

import json
import threading
from types import SimpleNamespace
from uuid import UUID

import pytest

from ai_memory.config import load_settings
from ai_memory.llm.chat import chat_of
from ai_memory.llm.logins import Logins
from ai_memory.llm.ways import Addresses
from tests.llm.model_vendors import KEY, USED, ModelVendors
from tests.memory.conftest import World

NOW = 1_795_000_000.0
#: A family of vendors by its wire -> the setting that holds the key.
FAMILIES = {
    "anthropic": "anthropic_api_key",
    "openai": "openai_api_key",
    "openai-oauth": "",
    "gemini": "gemini_api_key",
}
GOOD = {"title": "Rounding", "summary": "", "body_markdown": "Rounded per invoice.", "tags": []}
SMALL = {
    "path": "decisions/rounding.md",
    "title": "Rounding",
    "kind": "banana",
    "tier": 1,
    "summary": "",
    "body_markdown": "Rounded per invoice.",
    "tags": [],
    "evidence": ["Rounded per invoice."],
    "slot_kind": "none",
    "supersedes": "",
}
BATCH = {"updates": [SMALL, {**SMALL, "title": "Lies", "body_markdown": "In 1999."}], "drop": [], "rationale": "Why."}


def says(value, end="whole"):
    return ("say", value if isinstance(value, str) else json.dumps(value), end)


BUSY = ("status", 429, {"Retry-After": "7"}, {"error": {"message": "slow down"}})
BROKEN = ("status", 500, {}, {"error": {"message": "oops"}})
#: What the vendor does -> the script, the state of the job, and the outcome of each request.
CASES = {
    "good": ([says(GOOD)], "done", ["ok"]),
    "429, then good": ([BUSY, says(GOOD)], "done", ["transient", "ok"]),
    "500": ([BROKEN], "queued", ["transient"] * 3),
    "cut in the middle": (["cut"], "queued", ["transient"] * 3),
    "max_tokens": ([says('{"title": "Rou', "cut")], "failed", ["truncated"]),
    "empty": ([says("")], "failed", ["truncated"]),
    "refusal": ([says("", "refused")], "failed", ["refused"]),
    "invalid JSON": ([says('{"title": "Rounding", "summary": ')], "failed", ["unparsable"]),
    "another object": ([says({"answer": 42})], "failed", ["unparsable"]),
    "prose": ([says("Certainly! The session was about rounding.")], "failed", ["unparsable"]),
    "bad key": ([("status", 401, {}, {"error": {"message": KEY}})], "failed", ["terminal"]),
}
#: Requests without an answer count no tokens.
UNANSWERED = {"transient", "terminal"}


class Switch:
    """The model of a memory, which is another one in each test; a client of an SDK takes its time to be made."""

    provider, model = "switch", "some-model"

    def __init__(self):
        self.now = None
        self.record = None

    def __call__(self, settings, record):
        self.record = record
        return self

    def ask(self, ask, **how):
        return self.now.ask(ask, **how)


@pytest.fixture(scope="module")
def vendors():
    server = ModelVendors()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.go_on.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def desk(vendors, tmp_path_factory):
    switch, chats = Switch(), {}
    world = World(tmp_path_factory.mktemp("failing"), chat_of=switch)
    url = vendors.url
    addresses = Addresses(url, f"{url}/v1", f"{url}/v1beta", f"{url}/codex", url, f"{url}/copilot", url, url)
    login = {"access_token": KEY, "refresh_token": "r-1", "account_id": "acc-1", "expires_at": NOW + 3600}
    Logins(world.data).keep("openai-oauth", login)

    def take(provider, **flags):
        """Let a vendor's model be the one that is asked."""
        key = (provider, *flags.items())
        if key not in chats:
            own = {FAMILIES[provider]: KEY} if FAMILIES[provider] else {}
            settings = {"llm_provider": provider, "llm_model": "some-model", "llm_timeout_secs": 10.0, **own, **flags}
            chats[key] = chat_of(
                load_settings(world.data, flags=settings),
                switch.record,
                addresses=addresses,
                now=lambda: NOW,
                sleep=lambda _: None,
                monotonic=lambda: NOW,
            )
        switch.now = chats[key]

    yield SimpleNamespace(world=world, take=take, number=0)
    vendors.go_on.set()
    world.close()


def works(desk):
    """Have a new session come to a compaction; gives its id, and the page that rules made of it."""
    desk.number += 1
    session = str(UUID(int=desk.number + (4 << 76) + (2 << 62)))
    desk.world.works(session)
    desk.world.says(session, "pre-compact")
    desk.world.memory.sessions.settle()
    return session, desk.world.pages()[session]


def spent(desk):
    return {
        (each["provider"], each["outcome"]): (each["calls"], each["tokens_in"], each["tokens_out"])
        for each in desk.world.memory.models.usage()["calls"]
    }


def newly(before, after):
    """Give what was added to the meter."""
    found = {key: tuple(map(int.__sub__, sums, before.get(key, (0, 0, 0)))) for key, sums in after.items()}
    return {outcome: sums for (_, outcome), sums in found.items() if sums[0]}


def expected(outcomes):
    return {
        outcome: (
            outcomes.count(outcome),
            *(
                (0, 0)
                if outcome in UNANSWERED
                else (USED[0] * outcomes.count(outcome), USED[1] * outcomes.count(outcome))
            ),
        )
        for outcome in set(outcomes)
    }


@pytest.mark.parametrize("provider", FAMILIES)
@pytest.mark.parametrize("case", CASES)
def test_whatever_a_vendor_does_the_job_has_one_state_and_the_page_stays(desk, vendors, provider, case):
    vendors.script, state, outcomes = list(CASES[case][0]), *CASES[case][1:]
    desk.take(provider)
    session, by_rules = works(desk)
    before = spent(desk)
    assert desk.world.memory.jobs.run_due()
    (job,) = [each for each in desk.world.memory.jobs.latest(limit=500) if str(each.session_id) == session]
    assert job.state == state
    assert (job.error == "") == (state == "done")
    assert KEY not in job.error
    page = desk.world.pages()[session]
    if state == "done":
        assert "# Rounding\n\nRounded per invoice.\n" in page
    else:
        assert page == by_rules
    assert newly(before, spent(desk)) == expected(outcomes)
    if state == "queued":
        desk.world.memory.jobs.drop(job.id)


@pytest.mark.parametrize("provider", FAMILIES)
def test_words_that_no_schema_knows_cost_an_item_at_most(desk, vendors, provider):
    vendors.script = [says(BATCH)]
    desk.take(provider)
    session, _ = works(desk)
    memory = desk.world.memory
    while memory.jobs.run_due():
        pass
    before = spent(desk)
    vendors.script = [says(BATCH)]
    asked = memory.sessions.part(session, None)[1]
    job = memory.consolidation.begin(asked, pages=True)
    assert memory.jobs.run_due()
    job = memory.stores.state.jobs.job(job.id)
    assert job.state == "done"
    (written,) = job.outcome["outcomes"]
    assert written["path"].startswith("decisions/rounding")
    assert [each["why"] for each in job.outcome["refused"]] == ["it names '1999', which is not in its input"]
    assert newly(before, spent(desk)) == expected(["ok"])


def test_a_model_that_hangs_is_left_and_asked_again_later(desk, vendors):
    vendors.script = ["hang"]
    desk.take("anthropic", llm_timeout_secs=0.1)
    session, by_rules = works(desk)
    before = spent(desk)
    assert desk.world.memory.jobs.run_due()
    (job,) = [each for each in desk.world.memory.jobs.latest(["queued"]) if str(each.session_id) == session]
    assert job.error
    assert desk.world.pages()[session] == by_rules
    assert newly(before, spent(desk)) == expected(["transient"] * 3)
    desk.world.memory.jobs.drop(job.id)
