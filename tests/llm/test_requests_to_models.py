"""What goes over the wire to each vendor, with whose key, and from which settings."""

import json
import logging
import threading

import pytest
from model_vendors import GITHUB, KEY, NOW, PROVIDERS

from ai_memory import __version__
from ai_memory.config import load_settings
from ai_memory.errors import ConfigError
from ai_memory.llm.chat import Ask, ModelError, chat_of, warning_of
from ai_memory.llm.logins import Logins
from ai_memory.llm.ways import PROVIDERS as KNOWN

SCHEMA = {
    "type": "object",
    "description": "What the session taught.",
    "properties": {
        "title": {"type": "string"},
        "pages": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "kind": {"type": "string", "enum": ["decision", "gotcha"]},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "weight": {"type": "number"},
                    "turns": {"type": "array", "items": {"type": "integer"}},
                    "replaces": {
                        "type": "object",
                        "properties": {"path": {"type": "string"}, "whole": {"type": "boolean"}},
                        "required": ["path", "whole"],
                        "additionalProperties": False,
                    },
                },
                "required": ["kind", "tags", "weight", "turns", "replaces"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["title", "pages"],
    "additionalProperties": False,
}
VALUE = {
    "title": "t",
    "pages": [{"kind": "gotcha", "tags": [], "weight": 1, "turns": [2], "replaces": {"path": "a.md", "whole": True}}],
}
ASK = Ask("p", "the system", "the user", max_tokens=900, temperature=0.5)
SHAPED = Ask("p", "the system", "the user", SCHEMA, max_tokens=900, temperature=0.5)
CHAT = [{"role": "system", "content": "the system"}, {"role": "user", "content": "the user"}]
RESULT = {"type": "json_schema", "json_schema": {"name": "Result", "schema": SCHEMA, "strict": True}}
WORDS = "the system\n\nAnswer with one JSON object and nothing else; it has to fit this JSON schema:\n"
BODIES = {
    "anthropic": (
        {"model": "m", "max_tokens": 900, "system": "the system", "messages": CHAT[1:]},
        {
            "tools": [{"name": "result", "description": "Give the answer.", "input_schema": SCHEMA}],
            "tool_choice": {"type": "tool", "name": "result"},
        },
    ),
    "openai": ({"model": "m", "messages": CHAT, "max_completion_tokens": 900}, {"response_format": RESULT}),
    "openai-compat": (
        {"model": "m", "messages": CHAT, "max_tokens": 900, "temperature": 0.5},
        {"response_format": RESULT, "messages": [{**CHAT[0], "content": WORDS + json.dumps(SCHEMA)}, CHAT[1]]},
    ),
    "openai-oauth": (
        {
            "model": "m",
            "instructions": "the system",
            "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "the user"}]}],
            "store": False,
            "stream": True,
        },
        {"text": {"format": {"type": "json_schema", "name": "Result", "schema": SCHEMA, "strict": True}}},
    ),
}
BODIES["anthropic-oauth"] = BODIES["anthropic"]
BODIES["copilot"] = BODIES["openai"]


@pytest.mark.parametrize("provider", list(BODIES))
def test_a_model_that_nobody_knows_gets_no_more_than_it_must(provider, make, vendors):
    chat = make(provider, llm_model="m")
    chat.ask(ASK)
    vendors.script = [("say", json.dumps(VALUE), "whole")]
    assert chat.ask(SHAPED).value == VALUE
    plain, shape = BODIES[provider]
    assert [body for _, _, body in vendors.asked] == [plain, {**plain, **shape}]


def fits_strict(schema):
    """The rules of the strict modes of OpenAI and Anthropic."""
    if schema["type"] == "object":
        assert schema["additionalProperties"] is False
        assert sorted(schema["required"]) == sorted(schema["properties"])
        for each in schema["properties"].values():
            fits_strict(each)
    if schema["type"] == "array":
        fits_strict(schema["items"])
    assert schema.keys() <= {"type", "description", "properties", "required", "additionalProperties", "items", "enum"}


def fits_gemini(schema):
    """The subset of OpenAPI that Gemini takes."""
    assert schema.keys() <= {"type", "description", "properties", "required", "propertyOrdering", "items", "enum"}
    if schema["type"] == "object":
        assert schema["propertyOrdering"] == list(schema["properties"])
        for each in schema["properties"].values():
            fits_gemini(each)
    if schema["type"] == "array":
        fits_gemini(schema["items"])


@pytest.mark.parametrize("provider", list(PROVIDERS))
def test_each_dialect_of_the_schema_is_one_that_the_vendor_takes(provider, make, vendors):
    vendors.script = [("say", json.dumps(VALUE), "whole")]
    make(provider).ask(SHAPED)
    ((_, _, body),) = vendors.asked
    match provider:
        case "anthropic" | "anthropic-oauth":
            fits_strict(body["tools"][0]["input_schema"])
        case "openai-oauth":
            fits_strict(body["text"]["format"]["schema"])
        case "gemini":
            fits_gemini(body["generationConfig"]["responseSchema"])
        case _:
            fits_strict(body["response_format"]["json_schema"]["schema"])


def test_gemini_is_asked_in_its_own_words(make, vendors):
    chat = make("gemini", llm_model="models/gemini-2.5-flash")
    chat.ask(ASK)
    make("gemini", llm_model="gemini-9-ultra").ask(ASK)
    common = {
        "systemInstruction": {"parts": [{"text": "the system"}]},
        "contents": [{"role": "user", "parts": [{"text": "the user"}]}],
    }
    known = {"maxOutputTokens": 900, "temperature": 0.5, "thinkingConfig": {"thinkingBudget": 0}}
    assert [(path, body) for path, _, body in vendors.asked] == [
        ("/v1beta/models/gemini-2.5-flash:generateContent", {**common, "generationConfig": known}),
        ("/v1beta/models/gemini-9-ultra:generateContent", {**common, "generationConfig": {"maxOutputTokens": 900}}),
    ]


@pytest.mark.parametrize(
    ("provider", "model", "extra"),
    [
        ("anthropic", "claude-haiku-4-5", {"temperature": 0.5}),
        ("anthropic", "claude-sonnet-4-6", {"temperature": 0.5}),
        ("anthropic", "claude-haiku-4-5-20251001", {"temperature": 0.5}),
        ("anthropic", "claude-opus-4-7", {}),
        ("anthropic", "claude-opus-4-10", {}),
        ("anthropic", "claude-mythos-5", {}),
        ("anthropic", "claude-sonnet-6", {}),
        ("openai", "gpt-4.1-mini", {"temperature": 0.5, "max_tokens": 16_384}),
        ("openai", "gpt-5.4-mini", {"max_completion_tokens": 20_000}),
        ("openai", "gpt-5-mini", {"max_completion_tokens": 20_000, "reasoning_effort": "minimal"}),
        ("openai", "o3", {"max_completion_tokens": 20_000}),
        ("openai", "gpt-7", {"max_completion_tokens": 20_000}),
        ("copilot", "claude-sonnet-4.6", {"temperature": 0.5, "max_tokens": 16_384}),
        ("gemini", "gemini-2.5-pro", {"temperature": 0.5, "thinkingConfig": {"thinkingBudget": 128}}),
        ("gemini", "gemini-3.5-flash", {}),
    ],
)
def test_each_family_of_models_gets_the_parameters_that_it_knows(provider, model, extra, make, vendors):
    make(provider, llm_model=model).ask(Ask("p", "s", "u", max_tokens=20_000, temperature=0.5))
    ((_, _, body),) = vendors.asked
    body = body.get("generationConfig", body)
    told = ("temperature", "max_completion_tokens", "reasoning_effort", "thinkingConfig")
    if provider in ("openai", "copilot"):
        told += ("max_tokens",)
    assert {name: value for name, value in body.items() if name in told} == extra


#: provider -> the headers that say who asks.
SIGNED = {
    "anthropic": {"x-api-key": KEY},
    "anthropic-oauth": {
        "authorization": f"Bearer {KEY}",
        "anthropic-beta": "oauth-2025-04-20,claude-code-20250219",
    },
    "openai": {"authorization": f"Bearer {KEY}", "openai-organization": "org-1"},
    "openai-compat": {"authorization": f"Bearer {KEY}"},
    "openai-oauth": {
        "authorization": f"Bearer {KEY}",
        "chatgpt-account-id": "acc-1",
        "openai-beta": "responses=experimental",
    },
    "copilot": {"authorization": f"Bearer {KEY}"},
    "gemini": {"x-goog-api-key": KEY},
}


@pytest.mark.parametrize("provider", list(PROVIDERS))
def test_the_key_goes_where_the_vendor_wants_it_and_nothing_foreign_goes_along(provider, make, vendors, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "somebody's")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    make(provider, llm_headers=["X-Team = blue", "HTTP-Referer=https://a.example/?b=c"]).ask(ASK)
    ((path, headers, _),) = vendors.asked
    assert KEY not in path
    signs = "authorization x-api-key x-goog-api-key anthropic-beta openai-beta openai-organization chatgpt-account-id"
    assert {name: headers[name] for name in signs.split() if name in headers} == SIGNED[provider]
    assert (headers["x-team"], headers["http-referer"]) == ("blue", "https://a.example/?b=c")
    assert GITHUB not in str(headers)
    if provider == "copilot":
        assert headers["copilot-integration-id"] == "vscode-chat"
        assert {"editor-version", "editor-plugin-version"} <= headers.keys()
        assert "ai-memory" not in headers["user-agent"]
    else:
        assert headers["user-agent"] == f"ai-memory/{__version__}"
    assert ("anthropic-version" in headers) == provider.startswith("anthropic")


@pytest.mark.parametrize("provider", list(PROVIDERS))
def test_keys_are_in_no_log_and_in_no_text_of_an_object(provider, make, vendors, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("openai", "anthropic", "httpx2", "httpcore2"):
        caplog.set_level(logging.DEBUG, logger=name)
    chat = make(provider, llm_model="other")
    chat.ask(ASK)
    vendors.script = [("status", 401, {}, {"error": {"message": f"bad key {KEY}"}})]
    with pytest.raises(ModelError) as caught:
        chat.ask(ASK)
    assert KEY not in caplog.text + repr(chat) + repr(caught.value) + caught.value.said
    assert "the user" not in caplog.text


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_a_base_url_is_understood_however_it_is_written(end, make, vendors):
    make("openai-compat", llm_base_url=vendors.url + end).ask(ASK)
    make("openai-compat", llm_base_url=f"{vendors.url}/api{end}").ask(ASK)
    assert [path for path, _, _ in vendors.asked] == ["/v1/chat/completions", "/api/v1/chat/completions"]


def test_a_server_that_wants_no_key_is_sent_a_dummy(make, vendors):
    make("openai-compat", llm_api_key="").ask(ASK)
    assert vendors.asked[0][1]["authorization"] == "Bearer dummy"


def test_the_lenient_way_asks_for_shapes_in_words_alone(make, vendors):
    vendors.script = [("say", json.dumps(VALUE), "whole")]
    make("openai-compat", llm_compat_strict=False).ask(SHAPED)
    ((_, _, body),) = vendors.asked
    assert "response_format" not in body
    assert body["messages"][0]["content"] == WORDS + json.dumps(SCHEMA)


def test_the_generic_variable_leads_the_compatible_server_alone(vendors, addresses, tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_BASE_URL", f"{vendors.url}/generic")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    flags = {"llm_model": "some-model"}
    for provider in ("openai", "openai-compat"):
        chat_of(load_settings(tmp_path, flags={**flags, "llm_provider": provider}), addresses=addresses).ask(ASK)
    assert [path for path, _, _ in vendors.asked] == ["/v1/chat/completions", "/generic/v1/chat/completions"]


KEYS = {
    "anthropic": ["ANTHROPIC_API_KEY"],
    "anthropic-oauth": ["ANTHROPIC_OAUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"],
    "openai": ["OPENAI_API_KEY"],
    "gemini": ["GEMINI_API_KEY", "GOOGLE_API_KEY"],
    "copilot": ["GITHUB_COPILOT_API_TOKEN"],
}


@pytest.mark.parametrize(("provider", "names"), KEYS.items(), ids=list(KEYS))
def test_keys_come_from_the_variables_that_the_vendors_use_in_their_order(
    provider, names, vendors, addresses, tmp_path, monkeypatch
):
    for n, name in reversed(list(enumerate(names))):
        monkeypatch.setenv(name, f"key-{n}")
        settings = load_settings(tmp_path, flags={"llm_provider": provider, "llm_model": "some-model"})
        chat_of(settings, addresses=addresses).ask(ASK)
    sent = [str(headers) for _, headers, _ in vendors.asked]
    assert [f"key-{n}" in text for n, text in zip(reversed(range(len(names))), sent, strict=True)] == [True] * len(
        names
    )
    assert vendors.forms == []


@pytest.mark.parametrize("provider", [name for name in PROVIDERS if name != "openai-compat"])
def test_without_a_key_nothing_goes_out_and_the_message_says_what_to_do(provider, vendors, addresses, calls, tmp_path):
    slept = []
    settings = load_settings(tmp_path, flags={"llm_provider": provider})
    chat = chat_of(settings, calls.append, addresses=addresses, sleep=slept.append)
    with pytest.raises(ModelError) as caught:
        chat.ask(ASK)
    assert (caught.value.kind, caught.value.status) == ("unconfigured", 503)
    assert ("set " in str(caught.value)) or ("ai-memory auth login" in str(caught.value))
    assert (vendors.asked, vendors.forms, calls, slept) == ([], [], [], [])


DEFAULTS = {
    "anthropic": "claude-haiku-4-5",
    "anthropic-oauth": "claude-sonnet-4-6",
    "openai": "gpt-5.4-mini",
    "openai-oauth": "gpt-5.5",
    "copilot": "gpt-5.5",
    "gemini": "gemini-2.5-flash",
}


def test_each_provider_has_its_usual_model(tmp_path):
    found = {}
    for provider in DEFAULTS:
        chat = chat_of(load_settings(tmp_path, flags={"llm_provider": f" {provider.upper()} "}))
        assert chat.provider == provider
        found[provider] = chat.model
    assert found == DEFAULTS
    assert {*DEFAULTS, "openai-compat"} == set(KNOWN)


@pytest.mark.parametrize("said", ["", "none", " None "])
def test_no_provider_is_no_model(said, tmp_path):
    assert chat_of(load_settings(tmp_path, flags={"llm_provider": said, "llm_base_url": "http://127.0.0.1:1"})) is None


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            {"llm_provider": "clippy"},
            (
                "llm_provider 'clippy' is none: write anthropic, anthropic-oauth, openai, openai-compat, openai-oauth, "
                "copilot, gemini"
            ),
        ),
        (
            {"llm_provider": "openai-compat", "llm_base_url": "http://a"},
            "openai-compat needs llm_model: no server of that kind has a usual model",
        ),
        (
            {"llm_provider": "openai", "llm_fallbacks": ["openai-compat"]},
            "openai-compat needs llm_fallbacks = ['openai-compat:MODEL']: no server of that kind has a usual model",
        ),
        (
            {"llm_provider": "openai-compat", "llm_model": "m"},
            "llm_provider openai-compat needs llm_base_url, for example http://127.0.0.1:11434",
        ),
        (
            {"llm_provider": "openai-compat", "llm_model": "m", "llm_base_url": "https://me:secret@a.example"},
            (
                "llm_base_url is not a URL that can be asked: write one like http://127.0.0.1:11434, without a name or "
                "password"
            ),
        ),
        (
            {"llm_provider": "anthropic", "llm_base_url": "http://a"},
            "llm_base_url says nothing to llm_provider anthropic: remove it, or take openai-compat, which is asked there",
        ),
        (
            {"llm_provider": "openai", "llm_headers": ["X-API-Key=secret"]},
            "llm_headers must not set X-API-Key: it belongs to the vendor's own protocol",
        ),
        (
            {"llm_provider": "openai", "llm_headers": ["X-A=b", "secret"]},
            "entry 2 of llm_headers is no header: write Name=Value, in ASCII",
        ),
        (
            {"llm_provider": "openai", "llm_headers": ["X-A=b\r\nX-C: d"]},
            "entry 1 of llm_headers is no header: write Name=Value, in ASCII",
        ),
        ({"llm_timeout_secs": 0.0}, "llm_timeout_secs must be at least 0.01, not 0.0 (flag)"),
        ({"llm.monthly_budget": -1.0}, "llm.monthly_budget must be at least 0, not -1.0 (flag)"),
    ],
)
def test_settings_that_do_not_go_together_are_named(flags, said, tmp_path, vendors):
    with pytest.raises(ConfigError) as caught:
        chat_of(load_settings(tmp_path, flags=flags))
    assert str(caught.value) == said


def test_no_sdk_is_loaded_before_the_first_question(tmp_path):
    import subprocess
    import sys

    program = (
        "import sys; from pathlib import Path; from ai_memory.config import load_settings; "
        "from ai_memory.llm.chat import chat_of; "
        "chat_of(load_settings(Path(sys.argv[1]), flags={'llm_provider': 'anthropic', 'llm_fallbacks': ['openai']})); "
        "print(sorted({'anthropic', 'openai', 'httpx2'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_several_threads_at_once_get_an_answer_each(make, calls):
    chat = make("openai", llm_model="other")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(chat.ask(ASK).text)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == ["hello"] * 8
    assert [each.outcome for each in calls] == ["ok"] * 8


def test_the_unofficial_ways_are_warned_of():
    assert {name for name in KNOWN if warning_of(name)} == {"anthropic-oauth", "openai-oauth", "copilot"}
    assert warning_of("copilot").startswith("copilot uses a subscription through a back end")


def test_copilot_is_asked_where_the_company_says_with_a_token_that_is_got_once_while_it_holds(
    vendors, addresses, clock, tmp_path
):
    flags = {
        "llm_provider": "copilot",
        "llm_model": "m",
        "copilot_api_url": f"{vendors.url}/company/",
    }
    Logins(tmp_path).keep("copilot", {"github_token": GITHUB})
    chat = chat_of(load_settings(tmp_path, flags=flags), addresses=addresses, now=clock)
    vendors.pages["/copilot_internal/v2/token"] = [
        (200, {"token": "first", "expires_at": NOW + 1500}),
        (200, {"token": "second", "expires_at": NOW + 3000}),
    ]
    chat.ask(ASK)
    clock.now += 1430
    chat.ask(ASK)
    clock.now += 20
    chat.ask(ASK)
    assert [(path, headers["authorization"]) for path, headers, _ in vendors.asked] == [
        ("/company/chat/completions", "Bearer first"),
        ("/company/chat/completions", "Bearer first"),
        ("/company/chat/completions", "Bearer second"),
    ]
    assert [(path, headers["Authorization"]) for path, headers, _ in vendors.forms] == [
        ("/copilot_internal/v2/token", f"token {GITHUB}")
    ] * 2


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ((500, {}), "transient"),
        ((429, {}), "transient"),
        ((401, {"message": f"bad {GITHUB}"}), "unconfigured"),
        ((404, {}), "unconfigured"),
        ((200, {"nothing": 1}), "unconfigured"),
        ((302, "/elsewhere"), "unconfigured"),
    ],
    ids=["500", "429", "401", "404", "no-token", "redirect"],
)
def test_a_token_that_is_not_given_is_a_failure_before_any_model_is_asked(page, kind, make, vendors, calls):
    vendors.pages["/copilot_internal/v2/token"] = [page]
    with pytest.raises(ModelError) as caught:
        make("copilot", llm_model="m").ask(ASK)
    assert caught.value.kind == kind
    assert GITHUB not in str(caught.value)
    assert (vendors.asked, calls) == ([], [])
    assert {path for path, _, _ in vendors.forms} == {"/copilot_internal/v2/token"}
