"""The way to each vendor: where it is, whose key it wants, and what its requests carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from ai_memory.config import Settings
from ai_memory.errors import ConfigError
from ai_memory.llm.anthropic import SUBSCRIPTION_BETAS, AnthropicMessages
from ai_memory.llm.asking import ModelError
from ai_memory.llm.bearer import Bearer, ChatGPTBearer, CopilotBearer
from ai_memory.llm.gemini import GeminiChat
from ai_memory.llm.logins import Logins
from ai_memory.llm.openai import CompatChat, OpenAIChat, root_of
from ai_memory.llm.responses import OpenAIResponses
from ai_memory.llm.vendor import Vendor
from ai_memory.llm.wire import AGENT, Door, Wire


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the vendors are, each without a slash at the end."""

    anthropic: str = "https://api.anthropic.com"
    openai: str = "https://api.openai.com/v1"
    gemini: str = "https://generativelanguage.googleapis.com/v1beta"
    chatgpt: str = "https://chatgpt.com/backend-api/codex"
    openai_sign_in: str = "https://auth.openai.com"
    copilot: str = "https://api.githubcopilot.com"
    github: str = "https://github.com"
    github_api: str = "https://api.github.com"


ADDRESSES = Addresses()


@dataclass(frozen=True, slots=True)
class Provider:
    """What is said of a provider once.

    Attributes:
        model: the usual one, "" where there is none.
        keys: the settings that may hold its key, the first that does counts.
        advice: what a person does when the key is missing or refused.
        vendor: who speaks to it.
    """

    model: str
    keys: tuple[str, ...]
    advice: str
    vendor: type[Vendor]


PROVIDERS = {
    "anthropic": Provider("claude-haiku-4-5", ("anthropic_api_key",), "set ANTHROPIC_API_KEY", AnthropicMessages),
    "anthropic-oauth": Provider(
        "claude-sonnet-4-6",
        ("anthropic_oauth_token", "claude_code_oauth_token"),
        "set ANTHROPIC_OAUTH_TOKEN or CLAUDE_CODE_OAUTH_TOKEN",
        AnthropicMessages,
    ),
    "openai": Provider("gpt-5.4-mini", ("openai_api_key",), "set OPENAI_API_KEY", OpenAIChat),
    "openai-compat": Provider("", ("llm_api_key",), "set LLM_API_KEY", CompatChat),
    "openai-oauth": Provider("gpt-5.5", (), "`ai-memory auth login openai-oauth`", OpenAIResponses),
    "copilot": Provider("gpt-5.5", (), "`ai-memory auth login copilot`", OpenAIChat),
    "gemini": Provider(
        "gemini-2.5-flash",
        ("gemini_api_key", "google_api_key"),
        "set GEMINI_API_KEY or GOOGLE_API_KEY",
        GeminiChat,
    ),
}
_GITHUB_TOKENS = ("copilot_github_token", "gh_token", "github_token")
#: What Copilot's back end wants to know of whoever asks.
_EDITOR = {
    "User-Agent": "GitHubCopilotChat/0.26.7",
    "Editor-Version": "vscode/1.99.3",
    "Editor-Plugin-Version": "copilot-chat/0.26.7",
    "Copilot-Integration-Id": "vscode-chat",
}


class Way:
    """The way to one vendor: made when it is first needed, and anew when a token that does not last was renewed."""

    def __init__(
        self,
        settings: Settings,
        provider: str,
        headers: Mapping[str, str],
        addresses: Addresses,
        now: Callable[[], float],
    ) -> None:
        self._settings, self._provider, self._more = settings, provider, headers
        self._known = PROVIDERS[provider]
        self._root = _root(settings, provider, addresses)
        self._bearer = self._bearer_of(addresses, now)
        self._lock = Lock()
        self._made: tuple[Bearer, Wire] | None = None

    def wire(self) -> Wire:
        """Give the way, with a key that holds.

        Raises:
            ModelError: there is none.
        """
        bearer = self._bearer()
        if not all(text.isascii() and text.isprintable() for text in (bearer.token, bearer.account)):
            # Whoever refuses to send it repeats it.
            raise ModelError(
                f"the key for llm_provider {self._provider} holds something that is no letter, digit or sign, such as "
                f"a line break: {self._known.advice} anew",
                "unconfigured",
            )
        with self._lock:
            if self._made is None or self._made[0] != bearer:
                self._made = (bearer, self._wire(bearer))
            return self._made[1]

    def _bearer_of(self, addresses: Addresses, now: Callable[[], float]) -> Callable[[], Bearer]:
        settings, logins = self._settings, Logins(self._settings.data_dir)
        if self._provider == "openai-oauth":
            return ChatGPTBearer(logins, addresses.openai_sign_in, now).give
        if self._provider == "copilot" and not settings["github_copilot_api_token"].strip():

            def github() -> str:
                login = logins.of("copilot") or {}
                return _first(settings, _GITHUB_TOKENS) or str(login.get("github_token", ""))

            return CopilotBearer(github, addresses.github_api, now).give
        return self._key

    def _key(self) -> Bearer:
        keys = ("github_copilot_api_token",) if self._provider == "copilot" else self._known.keys
        key = _first(self._settings, keys)
        if not key and self._provider != "openai-compat":
            raise ModelError(f"there is no key for llm_provider {self._provider}: {self._known.advice}", "unconfigured")
        return Bearer(key)

    def _wire(self, bearer: Bearer) -> Wire:
        sdk, client = self._client()
        headers: dict[str, str | None] = {"User-Agent": AGENT, **self._more, "Authorization": None, "x-api-key": None}
        # Questions are seldom: a connection that was kept is gone by the next one, which would look like a failure.
        headers |= {"Connection": "close", "Accept-Encoding": "identity"}
        if self._provider != "openai":
            # The SDK takes them from the environment, and they are no other vendor's business.
            headers |= {"OpenAI-Organization": None, "OpenAI-Project": None}
        match self._provider:
            case "anthropic":
                headers["x-api-key"] = bearer.token
            case "gemini":
                headers["x-goog-api-key"] = bearer.token
            case _:
                headers["Authorization"] = f"Bearer {bearer.token or 'dummy'}"
        match self._provider:
            case "anthropic-oauth":
                headers["anthropic-beta"] = SUBSCRIPTION_BETAS
            case "openai-oauth":
                headers |= {"OpenAI-Beta": "responses=experimental", "originator": "ai-memory"}
                headers["chatgpt-account-id"] = bearer.account or None
            case "copilot":
                headers |= _EDITOR
        where = "look at llm_model"
        if self._provider == "openai-compat":
            where += " and llm_base_url"
        if self._provider == "gemini":
            # It answers 400 to a wrong key.
            where += f"; {self._known.advice}"
        door = Door(
            provider=self._provider,
            root=self._root,
            headers=headers,
            secrets=tuple(sorted(filter(None, {bearer.token, *self._more.values()}), key=len, reverse=True)),
            key_advice=self._known.advice,
            model_advice=where,
            seconds=self._settings["llm_timeout_secs"],
        )
        return Wire(sdk, client, door)

    def _client(self) -> tuple[ModuleType, Callable[[Any], Any]]:
        # Whoever asks decides when to ask again: a sleep in there could not be cancelled.
        common: dict[str, Any] = {"api_key": "none", "base_url": self._root, "max_retries": 0}
        if self._known.vendor is AnthropicMessages:
            import anthropic

            return anthropic, lambda http: anthropic.Anthropic(http_client=http, open_telemetry=False, **common)
        import openai

        return openai, lambda http: openai.OpenAI(http_client=http, **common)


def _root(settings: Settings, provider: str, addresses: Addresses) -> str:
    match provider:
        case "openai-compat":
            named = settings["llm_base_url"].strip() or settings["llm_compat_base_url"].strip()
            if not named:
                raise ConfigError("llm_provider openai-compat needs llm_base_url, for example http://127.0.0.1:11434")
            return root_of(_address("llm_base_url", named))
        case "copilot":
            named = settings["copilot_api_url"].strip()
            return _address("copilot_api_url", named).rstrip("/") if named else addresses.copilot
        case "openai-oauth":
            return addresses.chatgpt
        case _:
            return str(getattr(addresses, provider.removesuffix("-oauth")))


def _address(key: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        usable = usable and not parts.username and not parts.password
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(
            f"{key} is not a URL that can be asked: write one like http://127.0.0.1:11434, without a name or password"
        )
    return url


def _first(settings: Settings, keys: tuple[str, ...]) -> str:
    return next((found for key in keys if (found := settings[key].strip())), "")
