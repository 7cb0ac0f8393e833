"""The door of this room: which model the settings ask for, and everything that its callers name."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ai_memory.config import Settings
from ai_memory.errors import ConfigError
from ai_memory.llm.asking import Answer, Ask, Call, Chat, Kind, ModelError, never
from ai_memory.llm.openai import CompatChat
from ai_memory.llm.patience import Patient
from ai_memory.llm.prices import prices_of
from ai_memory.llm.tokens import estimated_tokens
from ai_memory.llm.vendor import Meter
from ai_memory.llm.ways import ADDRESSES, PROVIDERS, Addresses, Way

__all__ = [
    "Answer",
    "Ask",
    "Call",
    "Chat",
    "Kind",
    "ModelError",
    "chat_of",
    "estimated_tokens",
    "never",
    "warning_of",
]

#: Shown where one of them is chosen.
UNOFFICIAL = (
    "{provider} uses a subscription through a back end that its vendor made for its own programs: it may stop working, "
    "or be against the terms of the subscription, and the vendor may close the account. The official ways are "
    "anthropic, openai and gemini, with a key."
)
_SUBSCRIPTIONS = frozenset({"anthropic-oauth", "openai-oauth", "copilot"})
#: Headers that are ours or the vendors' to set: another value would be another vendor's key, or break the call.
_RESERVED = frozenset(
    {
        "authorization",
        "content-type",
        "x-api-key",
        "x-goog-api-key",
        "anthropic-version",
        "anthropic-beta",
        "openai-beta",
        "host",
        "content-length",
        "accept-encoding",
        "connection",
        "transfer-encoding",
    }
)


def warning_of(provider: str) -> str:
    """Give the warning that belongs to a provider, "" for an official way."""
    return UNOFFICIAL.format(provider=provider) if provider in _SUBSCRIPTIONS else ""


def _unmetered(_: Call) -> None:
    """Record nothing."""


def chat_of(
    settings: Settings,
    record: Callable[[Call], None] = _unmetered,
    *,
    addresses: Addresses = ADDRESSES,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Chat | None:
    """Give the model that the settings ask for, None where they ask for none; asks nobody yet, and loads no SDK.

    Args:
        settings: who is asked, and how.
        record: called once for each request that went out, in the thread of who asked.
        addresses: where the vendors are.
        now, sleep, monotonic: the clock.

    Raises:
        ConfigError: the settings do not go together; the message names the one to change.
    """
    named = settings["llm_provider"].strip().lower()
    if named in ("", "none"):
        return None
    wanted = [(named, settings["llm_model"].strip(), "llm_provider")]
    for entry in settings["llm_fallbacks"]:
        provider, _, model = entry.partition(":")
        wanted.append((provider.strip().lower(), model.strip(), "llm_fallbacks"))
    headers = _more_headers(settings)
    meter = Meter(record, prices_of(settings.data_dir))
    vendors = [_vendor(settings, *each, headers, meter, addresses, now) for each in wanted]
    if settings["llm_base_url"] and not any(provider == "openai-compat" for provider, _, _ in wanted):
        raise ConfigError(
            f"llm_base_url says nothing to llm_provider {named}: remove it, or take openai-compat, which is asked there"
        )
    return Patient(vendors, sleep=sleep, monotonic=monotonic)


def _vendor(
    settings: Settings,
    provider: str,
    model: str,
    key: str,
    headers: Mapping[str, str],
    meter: Meter,
    addresses: Addresses,
    now: Callable[[], float],
) -> Chat:
    if provider not in PROVIDERS:
        raise ConfigError(f"{key} {provider!r} is none: write {', '.join(PROVIDERS)}")
    known = PROVIDERS[provider]
    model = model or known.model
    if not model:
        where = "llm_model" if key == "llm_provider" else f"{key} = [{provider + ':MODEL'!r}]"
        raise ConfigError(f"{provider} needs {where}: no server of that kind has a usual model")
    vendor = known.vendor(provider, model, meter, Way(settings, provider, headers, addresses, now).wire)
    if isinstance(vendor, CompatChat) and not settings["llm_compat_strict"]:
        vendor.be_lenient()
    return vendor


def _more_headers(settings: Settings) -> dict[str, str]:
    headers = {}
    for n, entry in enumerate(settings["llm_headers"], 1):
        name, between, value = (part.strip() for part in entry.partition("="))
        if not between or not name.isascii() or not name.replace("-", "").isalnum() or not _plain(value):
            raise ConfigError(f"entry {n} of llm_headers is no header: write Name=Value, in ASCII")
        if name.lower() in _RESERVED:
            raise ConfigError(f"llm_headers must not set {name}: it belongs to the vendor's own protocol")
        headers[name] = value
    return headers


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable()
