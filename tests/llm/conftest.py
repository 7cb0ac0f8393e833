"""Vendors of models on loopback, and models that ask them without waiting."""

import threading
from types import SimpleNamespace

import pytest
from model_vendors import GITHUB, KEY, NOW, PROVIDERS, ModelVendors

from ai_memory.config import load_settings
from ai_memory.llm.chat import chat_of
from ai_memory.llm.logins import Logins
from ai_memory.llm.ways import Addresses

VARIABLES = (
    "ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN ANTHROPIC_OAUTH_TOKEN CLAUDE_CODE_OAUTH_TOKEN ANTHROPIC_CUSTOM_HEADERS "
    "ANTHROPIC_BASE_URL OPENAI_API_KEY OPENAI_BASE_URL GEMINI_API_KEY GOOGLE_API_KEY LLM_API_KEY LLM_BASE_URL "
    "COPILOT_GITHUB_TOKEN GH_TOKEN GITHUB_TOKEN GITHUB_COPILOT_API_TOKEN COPILOT_API_URL"
).split()


@pytest.fixture(scope="session")
def running_vendors():
    server = ModelVendors()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def vendors(running_vendors, monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    running_vendors.reset()
    running_vendors.pages["/copilot_internal/v2/token"] = [(200, {"token": KEY, "expires_at": NOW + 1500})]
    yield running_vendors
    running_vendors.go_on.set()


@pytest.fixture(scope="session")
def addresses(running_vendors):
    url = running_vendors.url
    return Addresses(url, f"{url}/v1", f"{url}/v1beta", f"{url}/codex", url, f"{url}/copilot", url, url)


class Clock:
    """Time passes by sleeping alone."""

    def __init__(self):
        self.now = NOW
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(scope="session")
def desk(tmp_path_factory):
    """What the models of all tests share: their data directory, clock and meter, and themselves."""
    return SimpleNamespace(data=tmp_path_factory.mktemp("data"), clock=None, calls=None, chats={})


@pytest.fixture
def clock(desk):
    desk.clock = Clock()
    return desk.clock


@pytest.fixture
def calls(desk):
    desk.calls = []
    return desk.calls


@pytest.fixture
def make(vendors, addresses, desk, clock, calls):
    """Make a model; the one without settings of its own is made once, because a client of an SDK takes its time."""

    # The model lives longer than this test's meter and clock.
    def recorded(call):
        desk.calls.append(call)

    def told():
        return desk.clock()

    def slept(seconds):
        desk.clock.sleep(seconds)

    def make(provider, **more):
        if not more and provider in desk.chats:
            return desk.chats[provider]
        setting, _ = PROVIDERS[provider]
        flags = {"llm_provider": provider, "llm_model": "some-model", "llm_timeout_secs": 10.0}
        if setting:
            flags[setting] = GITHUB if provider == "copilot" else KEY
        else:
            login = {"access_token": KEY, "refresh_token": "r-1", "account_id": "acc-1", "expires_at": NOW + 3600}
            Logins(desk.data).keep("openai-oauth", login)
        if provider == "openai-compat":
            flags["llm_base_url"] = vendors.url
        chat = chat_of(
            load_settings(desk.data, flags={**flags, **more}),
            recorded,
            addresses=addresses,
            now=told,
            sleep=slept,
            monotonic=told,
        )
        return chat if more else desk.chats.setdefault(provider, chat)

    return make
