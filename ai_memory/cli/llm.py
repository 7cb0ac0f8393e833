"""`llm-test`: one question to the model of the settings."""

from __future__ import annotations

from pathlib import Path

import click

from ai_memory.cli.remote import data_dir_option, settings_of
from ai_memory.cli.shown import quiet, say
from ai_memory.errors import ConfigError
from ai_memory.llm.chat import Answer, Ask, Call, ModelError, chat_of, warning_of
from ai_memory.llm.closed import problems

_SCHEMA = {
    "type": "object",
    "properties": {
        "greeting": {"type": "string"},
        "mood": {"type": "string", "enum": ["good", "bad"]},
        "numbers": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["greeting", "mood", "numbers"],
    "additionalProperties": False,
}
_SYSTEM = "You answer a test of a connection. Be brief."
_PROMPT = "Say hello in one short sentence, and that your mood is good; your numbers are 1, 2 and 3."


@click.command("llm-test")
@click.option("--structured", is_flag=True, help="Ask for an answer in a given shape, as all real work does.")
@click.option("--provider", help="Another provider than llm_provider.")
@click.option("--model", help="Another model than llm_model.")
@click.option("--base-url", help="Another address than llm_base_url (openai-compat).")
@click.option("--prompt", default=_PROMPT, help="Another question.")
@data_dir_option
@click.pass_context
def llm_test(
    ctx: click.Context,
    structured: bool,
    provider: str | None,
    model: str | None,
    base_url: str | None,
    prompt: str,
    data_dir: Path | None,
) -> None:
    """Ask the model of the settings one question, and show the answer and what it cost.

    It goes out from this machine, with the keys that are set here, and is paid for. No server
    is needed; the server's meter does not count it.
    """
    flags: dict[str, object] = {"llm_provider": provider, "llm_model": model, "llm_base_url": base_url}
    if provider is not None and model is None:
        # The model of the settings belongs to another provider.
        flags["llm_model"] = ""
    settings = settings_of(ctx, data_dir, **flags, llm_fallbacks=[])
    calls: list[Call] = []
    chat = chat_of(settings, calls.append)
    if chat is None:
        raise ConfigError("no model is configured: set llm_provider, or name one with --provider")
    if warning := warning_of(chat.provider):
        quiet(f"warning: {warning}")
    quiet(f"asking {chat.model} of {chat.provider}")
    try:
        answer = chat.ask(Ask("llm-test", _SYSTEM, prompt, _SCHEMA if structured else None, max_tokens=1024))
    except ModelError as error:
        if error.said:
            quiet(f"the vendor says: {error.said}")
        raise
    say(answer.text.strip())
    if structured:
        wrong = problems(answer.value, _SCHEMA)
        quiet("the answer has the shape that was asked for" if not wrong else f"its shape is wrong: {'; '.join(wrong)}")
    quiet(_account(answer, calls))


def _account(answer: Answer, calls: list[Call]) -> str:
    costs = [call.cost for call in calls]
    dollars = "at a price that is not known" if None in costs else f"for ${sum(filter(None, costs)):.6f}"
    return f"{answer.tokens_in:,} tokens in, {answer.tokens_out:,} out, {dollars}, in {answer.seconds:.1f} s"
