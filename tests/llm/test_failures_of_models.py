"""Every way in which a model does not answer ends in one outcome, with the meter right to the token."""

import json

import pytest
from model_vendors import GITHUB, KEY, PROVIDERS, USED

from ai_memory.llm.chat import Ask, Call, ModelError

NAMES = list(PROVIDERS)
SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "tier": {"type": "string", "enum": ["semantic", "procedural"]},
        "pages": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"path": {"type": "string"}, "weight": {"type": "number"}, "pinned": {"type": "boolean"}},
                "required": ["path", "weight", "pinned"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["title", "tier", "pages"],
    "additionalProperties": False,
}
GOOD = {"title": "Água e 水", "tier": "semantic", "pages": [{"path": "a.md", "weight": 0.5, "pinned": False}]}
TEXT = Ask("consolidation", "You are careful.", "What happened?")
SHAPED = Ask("consolidation", "You are careful.", "What happened?", SCHEMA)
BUSY = {"error": {"type": "rate_limit_error", "code": 429, "message": f"slow down, {KEY}"}}


def call(provider, outcome, used=(0, 0)):
    return Call("consolidation", provider, "some-model", *used, calls_cost(provider), outcome)


def calls_cost(provider):
    return 0.0 if provider in ("anthropic-oauth", "openai-oauth", "copilot") else None


def failed(chat, ask):
    with pytest.raises(ModelError) as caught:
        chat.ask(ask)
    error = caught.value
    seen, chain = set(), [error]
    while chain:
        each = chain.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            said = f"{each} {each!r} {vars(each)} {getattr(each, 'request', '')}"
            assert KEY not in said
            assert GITHUB not in said
            chain += [each.__cause__, each.__context__]
    return error


@pytest.mark.parametrize("provider", NAMES)
def test_a_good_answer_is_given_whole_and_metered_once(provider, make, vendors, calls):
    chat = make(provider)
    answer = chat.ask(TEXT)
    assert (answer.text, answer.value, answer.provider, answer.model) == ("hello", None, provider, "some-model")
    assert (answer.tokens_in, answer.tokens_out) == USED
    vendors.script = [("say", json.dumps(GOOD), "whole")]
    shaped = chat.ask(SHAPED)
    assert (shaped.value, json.loads(shaped.text)) == (GOOD, GOOD)
    assert calls == [call(provider, "ok", USED)] * 2
    assert [path for path, _, _ in vendors.asked] == [PROVIDERS[provider][1]] * 2
    assert 0 <= shaped.seconds < 60


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.parametrize(
    ("entry", "kind", "used"),
    [
        pytest.param(("say", '{"title": "half of', "cut"), "truncated", USED, id="cut-at-the-limit"),
        pytest.param(("say", "", "whole"), "truncated", USED, id="nothing-but-hidden-thoughts"),
        pytest.param(("say", "", "refused"), "refused", USED, id="refused"),
        pytest.param(("say", '{"title": "no end', "whole"), "unparsable", USED, id="half-an-object"),
        pytest.param(("say", "I would rather tell you a story.", "whole"), "unparsable", USED, id="prose"),
        pytest.param(("say", '{"title": "t", "tier": "semantic"}', "whole"), "unparsable", USED, id="a-key-is-missing"),
        pytest.param(
            ("say", '{"title": "t", "tier": "semantic", "pages": "none"}', "whole"), "unparsable", USED, id="no-list"
        ),
        pytest.param(("raw", b"<html>please log in</html>"), None, (0, 0), id="a-page-of-html"),
        pytest.param(("raw", b"[]"), None, (0, 0), id="another-protocol"),
        pytest.param(("status", 400, {}, {"error": {"message": "bad"}}), "terminal", (0, 0), id="400"),
        pytest.param(("status", 401, {}, {"error": {"message": "who?"}}), "terminal", (0, 0), id="401"),
        pytest.param(("status", 403, {}, {"error": "no"}), "terminal", (0, 0), id="403"),
        pytest.param(("status", 404, {}, {"error": {"message": "no model"}}), "terminal", (0, 0), id="404"),
        pytest.param(("status", 302, {"Location": "/v1/elsewhere"}, {}), "terminal", (0, 0), id="a-redirect"),
    ],
)
def test_what_asking_again_cannot_help_is_asked_once(provider, entry, kind, used, make, vendors, calls, clock):
    vendors.script = [entry]
    # Events that are none break off; another server's one piece is strange.
    expected = kind or "unparsable"
    if kind is None and provider == "openai-oauth":
        expected = "transient"
    error = failed(make(provider), SHAPED)
    attempts = 3 if expected == "transient" else 1
    assert (error.kind, (error.tokens_in, error.tokens_out), error.retry_after) == (expected, used, None)
    assert calls == [call(provider, expected, used)] * attempts
    assert len(vendors.asked) == attempts
    assert {path for path, _, _ in vendors.forms} <= {"/copilot_internal/v2/token"}
    assert error.status == (503 if expected == "transient" else 502)


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.parametrize(
    ("entry", "after"),
    [
        pytest.param(("status", 429, {"Retry-After": "7"}, BUSY), 7.0, id="429-and-when-to-come-back"),
        pytest.param(("status", 429, {}, BUSY), None, id="429"),
        pytest.param(("status", 500, {}, {"error": {"message": "oops"}}), None, id="500"),
        pytest.param(("status", 529, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}), None, id="529-and-a-date"),
        pytest.param("cut", None, id="cut-in-the-middle"),
    ],
)
def test_what_passes_is_asked_three_times_with_pauses(provider, entry, after, make, vendors, calls, clock):
    vendors.script = [entry]
    error = failed(make(provider), TEXT)
    assert (error.kind, error.retry_after, error.status) == ("transient", after, 503)
    assert calls == [call(provider, "transient")] * 3
    assert sum(clock.slept) == pytest.approx(2 * (after or 2.0))


@pytest.mark.parametrize("provider", NAMES)
def test_a_vendor_that_comes_back_gives_the_answer_after_all(provider, make, vendors, calls, clock):
    vendors.script = [("status", 429, {"Retry-After": "600"}, BUSY), "cut", ("say", "hello", "whole")]
    assert make(provider).ask(TEXT).text == "hello"
    assert [each.outcome for each in calls] == ["transient", "transient", "ok"]
    assert sum(clock.slept) == pytest.approx(60 + 2)


@pytest.mark.parametrize("provider", NAMES)
def test_a_model_that_hangs_is_left_after_a_while(provider, make, vendors, calls):
    vendors.script = ["hang"]
    error = failed(make(provider, llm_timeout_secs=0.05), TEXT)
    assert (error.kind, [each.outcome for each in calls]) == ("transient", ["transient"] * 3)
    assert "gave no answer in 0.05 s" in str(error)


@pytest.mark.parametrize("provider", ["anthropic", "openai", "openai-oauth", "gemini"])
def test_a_model_that_never_comes_to_an_end_is_left_after_a_while(provider, make, vendors, calls):
    vendors.script = ["drip"]
    error = failed(make(provider, llm_timeout_secs=0.05), TEXT)
    assert (error.kind, [each.outcome for each in calls]) == ("transient", ["transient"] * 3)
    assert "gave no answer in 0.05 s" in str(error)


@pytest.mark.parametrize("provider", NAMES)
def test_values_that_nobody_allowed_are_for_the_caller_to_judge_one_by_one(provider, make, vendors, calls):
    said = {**GOOD, "tier": "state", "pages": [{"path": 7, "weight": 1, "pinned": False}, *GOOD["pages"]], "more": 1}
    vendors.script = [("say", json.dumps(said), "whole")]
    assert make(provider).ask(SHAPED).value == said
    assert calls == [call(provider, "ok", USED)]


@pytest.mark.parametrize("provider", ["openai", "openai-compat", "copilot", "gemini", "openai-oauth"])
@pytest.mark.parametrize(
    "around",
    [
        "```json\n{}\n```",
        "Here it is: {} - as you wished.",
        "<think>maybe {{nothing}}?</think>\n{}",
        "<Reasoning>\nhm\n</Reasoning>```\n{}\n```",
    ],
    ids=["fence", "sentences", "thoughts", "both"],
)
def test_an_object_is_found_in_what_a_model_wrote_around_it(provider, around, make, vendors):
    vendors.script = [("say", around.replace("{{nothing}}", "{nothing}").replace("{}", json.dumps(GOOD)), "whole")]
    assert make(provider).ask(SHAPED).value == GOOD


@pytest.mark.parametrize(
    ("provider", "status", "todo"),
    [
        ("anthropic", 401, "the key is wrong, or may not do this: set ANTHROPIC_API_KEY"),
        (
            "anthropic-oauth",
            403,
            "the key is wrong, or may not do this: set ANTHROPIC_OAUTH_TOKEN or CLAUDE_CODE_OAUTH_TOKEN",
        ),
        ("openai", 401, "the key is wrong, or may not do this: set OPENAI_API_KEY"),
        ("openai", 404, "look at llm_model"),
        ("openai-compat", 404, "look at llm_model and llm_base_url"),
        ("openai-compat", 401, "the key is wrong, or may not do this: set LLM_API_KEY"),
        ("openai-oauth", 401, "the key is wrong, or may not do this: `ai-memory auth login openai-oauth`"),
        ("copilot", 403, "the key is wrong, or may not do this: `ai-memory auth login copilot`"),
        ("gemini", 400, "look at llm_model; set GEMINI_API_KEY or GOOGLE_API_KEY"),
    ],
)
def test_what_only_a_person_can_help_says_where_to_look(provider, status, todo, make, vendors):
    vendors.script = [("status", status, {}, {"error": {"message": f"no {KEY} " + "x" * 900}})]
    error = failed(make(provider), TEXT)
    assert str(error) == f"{provider} refused (HTTP {status}): {todo}"
    assert error.said == ("no [REDACTED] " + "x" * 900)[:300]


@pytest.mark.parametrize("key", ["sk-half\nhalf-0123", "sk-0123\x00", "sk-ключ-0123"], ids=["line", "zero", "letters"])
@pytest.mark.parametrize("provider", ["anthropic", "openai", "openai-compat", "gemini"])
def test_a_key_that_no_header_can_carry_is_not_sent_and_not_repeated(provider, key, make, vendors, calls):
    error = failed(make(provider, **{PROVIDERS[provider][0]: key}), TEXT)
    assert (error.kind, vendors.asked, calls) == ("unconfigured", [], [])
    assert "0123" not in f"{error} {error.said}"
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize(
    ("counted", "used"),
    [(b"-5, ", (0, 17)), (b"1e999, ", (0, 17)), (b'"many", ', (0, 17)), (b"null, ", (0, 17)), (b"7, ", (7, 17))],
    ids=["negative", "endless", "word", "null", "number"],
)
def test_what_is_no_count_of_tokens_counts_nothing_and_spoils_nothing(counted, used, make, vendors, calls):
    body = b'{"choices": [{"message": {"content": "hello"}}], "usage": {"prompt_tokens": %s"completion_tokens": 17}}'
    vendors.script = [("raw", body % counted)]
    assert make("openai").ask(TEXT).text == "hello"
    assert calls == [call("openai", "ok", used)]


@pytest.mark.parametrize("provider", ["openai", "openai-compat", "copilot"])
@pytest.mark.parametrize(
    "content", [[{"type": "text", "text": "hello"}], {"a": 1}, True], ids=["list", "object", "true"]
)
def test_a_message_that_is_no_text_is_strange_and_metered(provider, content, make, vendors, calls):
    used = {"prompt_tokens": 3, "completion_tokens": 4}
    vendors.script = [("raw", json.dumps({"choices": [{"message": {"content": content}}], "usage": used}).encode())]
    assert failed(make(provider), TEXT).kind == "unparsable"
    assert calls == [call(provider, "unparsable", (3, 4))]


@pytest.mark.parametrize("provider", ["anthropic", "openai", "openai-oauth", "gemini"])
def test_a_refusal_without_an_end_is_not_read_to_it(provider, make, vendors, calls):
    vendors.script = [("flood", 400)]
    error = failed(make(provider), TEXT)
    assert (error.kind, error.said) == ("terminal", "x" * 300)
    assert calls == [call(provider, "terminal")]


@pytest.mark.parametrize("provider", ["anthropic", "openai", "gemini"])
def test_nothing_is_unpacked(provider, make, vendors, calls):
    vendors.script = [("status", 200, {"Content-Encoding": "gzip"}, {"packed": True})]
    assert failed(make(provider), TEXT).kind == "unparsable"
    assert vendors.asked[0][1]["accept-encoding"] == "identity"


def test_google_says_in_the_body_when_to_come_back(make, vendors):
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]
    vendors.script = [("status", 429, {}, {"error": {"code": 429, "message": "quota", "details": details}})]
    assert failed(make("gemini"), TEXT).retry_after == 34.0


@pytest.mark.parametrize(
    ("event", "kind", "attempts"),
    [
        (("error", {"code": "server_error", "message": "oops"}), "transient", 3),
        (("response.failed", {"response": {"error": {"code": "rate_limit_exceeded", "message": "m"}}}), "transient", 3),
        (("response.failed", {"response": {"error": {"code": "context_length_exceeded"}}}), "terminal", 1),
        (("response.failed", {"response": None}), "transient", 3),
        (("response.failed", {"response": {"error": {"code": ["x"]}}}), "transient", 3),
        (("response.failed", {"response": {"error": "oops"}}), "transient", 3),
        (("response.created", {"response": {}}), "transient", 3),
    ],
    ids=["error", "busy", "too-long", "no-reason", "strange-code", "word", "no-end"],
)
def test_a_failure_in_the_middle_of_events_has_its_kind(event, kind, attempts, make, vendors, calls):
    vendors.script = [("events", [event])]
    assert failed(make("openai-oauth"), TEXT).kind == kind
    assert calls == [call("openai-oauth", kind)] * attempts


def test_a_router_whose_server_failed_is_asked_again(make, vendors, calls):
    vendors.script = [("raw", b'{"error": {"code": 502, "message": "upstream"}}'), ("say", "hello", "whole")]
    assert make("openai-compat").ask(TEXT).text == "hello"
    assert [each.outcome for each in calls] == ["transient", "ok"]


def test_a_server_that_is_away_is_named(make, vendors, calls):
    error = failed(make("openai-compat", llm_base_url="http://127.0.0.1:9"), TEXT)
    assert str(error).startswith("openai-compat cannot be reached at 127.0.0.1:9, or broke off: ")
    assert (error.kind, len(calls)) == ("transient", 3)


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_without_shapes_is_asked_once_more_without_and_never_again_with(status, make, vendors, calls):
    chat = make("openai-compat", llm_compat_strict=True)
    refusal = ("status", status, {}, {"error": {"message": "response_format is not supported"}})
    vendors.script = [refusal, ("say", json.dumps(GOOD), "whole")]
    assert [chat.ask(SHAPED).value, chat.ask(SHAPED).value] == [GOOD, GOOD]
    assert ["response_format" in body for _, _, body in vendors.asked] == [True, False, False]
    assert [each.outcome for each in calls] == ["terminal", "ok", "ok"]
    assert [(each.tokens_in, each.tokens_out) for each in calls] == [(0, 0), USED, USED]


def test_other_vendors_are_not_asked_again_without_a_shape(make, vendors, calls):
    vendors.script = [("status", 400, {}, {"error": {"message": "Invalid schema for response_format"}})]
    assert failed(make("openai"), SHAPED).kind == "terminal"
    assert len(calls) == 1
