"""Three attempts where waiting helps, the next in the chain where it does not, and an end when nobody waits."""

import pytest
from model_vendors import KEY, NOW

from ai_memory.config import load_settings
from ai_memory.llm.chat import Answer, Ask, ModelError, chat_of
from ai_memory.llm.patience import Patient

ASK = Ask("p", "s", "u")


class Scripted:
    """A model that does what its list says: an error, or an answer."""

    def __init__(self, name, *script):
        self.provider, self.model, self.script, self.asked = name, "m", list(script), 0

    def ask(self, ask, *, cancelled):
        self.asked += 1
        what = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(what, ModelError):
            raise what
        return Answer(what, None, self.provider, self.model, 1, 1, 0.0)


def error(kind, after=None):
    return ModelError(f"it is {kind}", kind, retry_after=after)


def patient(clock, *chats):
    return Patient(chats, sleep=clock.sleep, monotonic=clock)


def outcome(chat, **more):
    try:
        return chat.ask(ASK, **more).text
    except ModelError as caught:
        return caught.kind


@pytest.mark.parametrize("kind", ["terminal", "refused", "truncated", "unparsable", "unconfigured", "over-budget"])
def test_only_what_passes_is_asked_again(kind, clock):
    one = Scripted("a", error(kind), "never said")
    assert (outcome(patient(clock, one)), one.asked, clock.slept) == (kind, 1, [])


@pytest.mark.parametrize(("after", "waited"), [(None, 2.0), (0.0, 0.0), (7.0, 7.0), (60.0, 60.0), (3600.0, 60.0)])
def test_the_pause_is_what_the_vendor_wants_up_to_a_minute(after, waited, clock):
    one = Scripted("a", error("transient", after), error("transient", after), "late")
    assert (outcome(patient(clock, one)), one.asked, sum(clock.slept)) == ("late", 3, 2 * waited)


@pytest.mark.parametrize("kind", ["transient", "terminal", "unconfigured"])
def test_a_vendor_that_fails_is_followed_by_the_next_and_left_alone_for_half_a_minute(kind, clock):
    one, other = Scripted("a", error(kind)), Scripted("b", "from b")
    chat = patient(clock, one, other)
    assert (chat.provider, chat.model) == ("a", "m")
    attempts = 3 if kind == "transient" else 1
    assert (outcome(chat), one.asked, other.asked) == ("from b", attempts, 1)
    clock.now += 29
    assert (outcome(chat), one.asked, other.asked) == ("from b", attempts, 2)
    clock.now += 2
    one.script = ["from a"]
    assert (outcome(chat), one.asked, other.asked) == ("from a", attempts + 1, 2)


@pytest.mark.parametrize("kind", ["refused", "truncated", "unparsable"])
def test_what_is_the_questions_fault_is_paid_once(kind, clock):
    other = Scripted("b", "never said")
    assert (outcome(patient(clock, Scripted("a", error(kind)), other)), other.asked) == (kind, 0)


def test_where_all_fail_the_one_that_passes_is_told_and_all_are_tried_again(clock):
    chats = (
        Scripted("a", error("unconfigured")),
        Scripted("b", error("transient", 1.0)),
        Scripted("c", error("terminal")),
    )
    chat = patient(clock, *chats)
    assert [outcome(chat), outcome(chat)] == ["transient", "transient"]
    assert [each.asked for each in chats] == [2, 6, 2]


def test_without_one_that_passes_the_first_failure_is_told(clock):
    assert (
        outcome(patient(clock, Scripted("a", error("unconfigured")), Scripted("b", error("terminal"))))
        == "unconfigured"
    )


def test_a_pause_ends_when_nobody_waits_any_more(clock):
    one, other = Scripted("a", error("transient", 50.0)), Scripted("b", "never said")
    chat = patient(clock, one, other)
    assert outcome(chat, cancelled=lambda: clock.now >= NOW + 3) == "transient"
    assert (one.asked, other.asked, sum(clock.slept)) == (1, 0, 3.0)


def test_who_gave_up_before_sends_nothing(make, vendors, calls, clock):
    with pytest.raises(ModelError) as caught:
        make("openai").ask(ASK, cancelled=lambda: True)
    assert str(caught.value) == "openai was not asked: nobody waits for the answer any more"
    assert (vendors.asked, calls, clock.slept) == ([], [], [])


def test_the_settings_name_the_chain_and_every_request_of_it_is_metered(vendors, addresses, calls, clock, tmp_path):
    flags = {
        "llm_provider": "anthropic",
        "llm_fallbacks": ["openai", " openai-compat : qwen3:8b "],
        "openai_api_key": KEY,
        "llm_base_url": vendors.url,
    }
    vendors.script = [("status", 400, {}, {}), ("say", "hello", "whole")]
    settings = load_settings(tmp_path, flags=flags)
    chat = chat_of(settings, calls.append, addresses=addresses, sleep=clock.sleep, monotonic=clock)
    answer = chat.ask(ASK)
    assert (answer.provider, answer.model) == ("openai-compat", "qwen3:8b")
    assert [(each.provider, each.model, each.outcome) for each in calls] == [
        ("openai", "gpt-5.4-mini", "terminal"),
        ("openai-compat", "qwen3:8b", "ok"),
    ]
