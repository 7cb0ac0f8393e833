"""Settings: one table that feeds the file, the environment, the flags, `status` and the reference page.

Order: defaults, then `<data_dir>/config.toml`, then `AI_MEMORY_*`, then flags. A value knows where it came from.
"""

from __future__ import annotations

import ipaddress
import math
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs

from ai_memory.errors import ConfigError

DEFAULT_PORT = 49374

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table.

    Attributes:
        key: its name in config.toml; a dot separates section and key.
        default: the value when nobody says otherwise; its type is the setting's type.
        help: one sentence for the reference page and the template.
        env: the environment variable that overrides the file.
        secret: whether its value must never be shown.
    """

    key: str
    default: Any
    help: str
    env: str
    secret: bool = False


def _setting(key: str, default: Any, text: str, *, env: str = "", secret: bool = False) -> Setting:
    name = env or "AI_MEMORY_" + key.upper().replace(".", "__")
    return Setting(key, default, text, name, secret)


SETTINGS: tuple[Setting, ...] = (
    _setting("bind", f"127.0.0.1:{DEFAULT_PORT}", "Address and port that the server listens on."),
    _setting("server_url", f"http://127.0.0.1:{DEFAULT_PORT}", "Where hooks and commands find the server."),
    _setting(
        "allowed_hosts",
        ["localhost", "127.0.0.1", "::1"],
        "Host headers that are answered; add the names under which you reach the server on your network.",
    ),
    _setting(
        "external_url",
        "",
        "Address under which others reach the server, where a proxy stands before it, with the base path if there is "
        "one: links of invites and of the page that signs programs in begin with it, and its host is answered, too.",
    ),
    _setting("enable_web", True, "Serve the read-only wiki at /web and the JSON API at /api/v1 (`--no-enable-web`)."),
    _setting(
        "web_ui_dir",
        "",
        "Folder with a front end of your own (it has an index.html), which is served instead of the built-in wiki.",
    ),
    _setting(
        "base_path",
        "",
        "Path under which everything is served, such as /memory, where a proxy keeps the root for something else; "
        "a proxy may pass it on or strip it.",
    ),
    _setting("web_slug", "/web", "Path of the wiki below base_path; / puts it at the root."),
    _setting(
        "cors_allow_origins",
        [],
        "Origins whose pages may ask /api/v1, each whole, such as https://notes.example.org; empty: none.",
    ),
    _setting("log_level", "info", "How much the server logs: debug, info, warning or error."),
    _setting("workspace", "default", "Workspace of events that name none."),
    _setting("project", "scratch", "Project of events that say nothing of their place."),
    _setting("capture_prompts", True, "Store the text of your prompts."),
    _setting("capture_assistant", True, "Store the last answer of each turn."),
    _setting(
        "session_idle_secs",
        1800,
        "A session that was silent for so long is closed: its page is committed, and a handoff that it took "
        "without doing anything goes back.",
    ),
    _setting(
        "handoff_quiet_secs",
        600,
        "A session in the middle of a turn does not hand over, unless it was silent for so long.",
    ),
    _setting("http_stateful", False, "Keep a session for each MCP client (`serve --http-stateful`); most need none."),
    _setting(
        "transcripts_dir",
        "~/.claude/projects",
        "Where Claude Code keeps its transcripts on the server's machine: the record tools compare their names with "
        "those that a project's narrative covers.",
    ),
    _setting("hook_queue", 1024, "Events in flight; beyond it hooks are told to come back later (429)."),
    _setting(
        "sanitize.extra_patterns",
        [],
        "Regular expressions of your own secrets, scrubbed like the built-in ones.",
    ),
    _setting("sanitize.allowlist", [], "A match that contains one of these texts is not scrubbed."),
    _setting("maintenance.enabled", True, "Do the daily upkeep: sweep, compress and remove what has served its time."),
    _setting("maintenance.forget_sweep_interval_secs", 86_400, "Time between two upkeeps."),
    _setting("maintenance.raw_compress_after_days", 1, "A finished session's raw log is compressed after so long."),
    _setting(
        "maintenance.raw_keep_days",
        365,
        "A finished session's raw log is removed after so long, never while it is the last copy; 0 keeps it for ever.",
    ),
    _setting(
        "maintenance.ledger_keep_months",
        12,
        "Event ledgers (log-YYYY-MM.md) stay for so many months, in git longer; 0 keeps them for ever.",
    ),
    _setting("decay.lambda", 0.02, "How fast a page loses weight by age: e^(-lambda * days)."),
    _setting("decay.sigma", 0.6, "What reading a page adds to its weight: sigma * ln(1 + times read)."),
    _setting("decay.mu", 0.04, "How fast that is lost again: e^(-mu * days since it was read)."),
    _setting(
        "decay.cold_threshold",
        0.2,
        "A compiled session page of less weight is deleted by the sweep; git keeps it. 0 deletes none.",
    ),
    _setting(
        "decay.hard_delete_after_days",
        180,
        "After so long a deleted page is no longer listed in _meta.md and cannot be found in former versions.",
    ),
    _setting(
        "embedding_provider",
        "",
        "Who turns texts into vectors, for search by meaning: local, openai, voyage, google (or gemini), "
        "openai-compat; empty or none: search goes by words alone, and nothing is sent anywhere.",
    ),
    _setting("embedding_model", "", "The model that does it; empty: the provider's usual one."),
    _setting("embedding_dim", 0, "Numbers in a vector, a multiple of 8; 0: what the model usually gives."),
    _setting("embedding_base_url", "", "Where the provider is asked, for servers that speak like OpenAI, and proxies."),
    _setting(
        "embedding_query_prefix", "", "Put before what is looked for, as some models want it (openai, openai-compat)."
    ),
    _setting("embedding_document_prefix", "", "Put before what is found; with another one all vectors are made anew."),
    _setting(
        "embedding_api_key",
        "",
        "Key of openai and openai-compat, before any other.",
        env="EMBEDDING_API_KEY",
        secret=True,
    ),
    _setting("openai_api_key", "", "Key of openai.", env="OPENAI_API_KEY", secret=True),
    _setting("voyage_api_key", "", "Key of voyage.", env="VOYAGE_API_KEY", secret=True),
    _setting("gemini_api_key", "", "Key of google.", env="GEMINI_API_KEY", secret=True),
    _setting(
        "google_api_key", "", "Key of google, where there is no gemini_api_key.", env="GOOGLE_API_KEY", secret=True
    ),
    _setting(
        "llm_api_key",
        "",
        "Key of openai-compat; of embeddings by it, or by openai with a base URL, where none is said for them.",
        env="LLM_API_KEY",
        secret=True,
    ),
    _setting(
        "llm_provider",
        "",
        "Who answers questions, to write better pages: anthropic, openai, gemini, openai-compat, copilot, "
        "anthropic-oauth or openai-oauth (the last three use a subscription in ways that its vendor does not offer); "
        "empty or none: no model is asked for anything.",
    ),
    _setting("llm_model", "", "The model that is asked; empty: the provider's usual one."),
    _setting("llm_base_url", "", "Where openai-compat is asked: Ollama, vLLM, LM Studio, OpenRouter and their like."),
    _setting("llm_compat_base_url", "", "The same, where llm_base_url says nothing.", env="LLM_BASE_URL"),
    _setting(
        "llm_compat_strict",
        True,
        "Ask openai-compat for answers in a given shape; a server that cannot do it is asked without from then on.",
    ),
    _setting("llm_timeout_secs", 300.0, "Patience with one answer of a model."),
    _setting(
        "llm_headers",
        [],
        "More headers for each request to a model, as Name=Value; not those that the vendors define.",
        secret=True,
    ),
    _setting(
        "llm_fallbacks",
        [],
        "Who is asked when llm_provider fails, in this order: provider, or provider:model.",
    ),
    _setting(
        "llm.monthly_budget",
        0.0,
        "Dollars a month, by the table of prices, after which no model is asked until the next one; 0: no limit.",
    ),
    _setting(
        "consolidate_on_session_end",
        False,
        "Have a model write small pages (decisions, gotchas, concepts, ...) of each session when it is over, make its "
        "packet clearer, and bring the narrative that it keeps up to date.",
    ),
    _setting(
        "answer_with_model",
        False,
        "Let a model put into words what a search found (answer=true, --answer) and where a project stands "
        "(memory_explore).",
    ),
    _setting(
        "auto_improve.require_approval",
        True,
        "What a model proposes to write down after a session waits until somebody approves it (pending-writes).",
    ),
    _setting(
        "auto_improve.scheduler.enabled",
        False,
        "Have sessions that are over reviewed by a model for such proposals, one a project and hour.",
    ),
    _setting("consolidation.max_input_tokens", 100_000, "Tokens that the model takes in one request; at least 6000."),
    _setting("consolidation.max_output_tokens", 32_000, "Tokens that it may answer, hidden reasoning included."),
    _setting(
        "consolidation.input_token_safety_margin",
        0.8,
        "The share of max_input_tokens that is used, because tokens can only be estimated.",
    ),
    _setting("anthropic_api_key", "", "Key of anthropic.", env="ANTHROPIC_API_KEY", secret=True),
    _setting("anthropic_oauth_token", "", "Token of anthropic-oauth.", env="ANTHROPIC_OAUTH_TOKEN", secret=True),
    _setting(
        "claude_code_oauth_token",
        "",
        "Token of anthropic-oauth, where there is no anthropic_oauth_token.",
        env="CLAUDE_CODE_OAUTH_TOKEN",
        secret=True,
    ),
    _setting(
        "copilot_github_token",
        "",
        "Token of GitHub for copilot, before that of `ai-memory auth login copilot`.",
        env="COPILOT_GITHUB_TOKEN",
        secret=True,
    ),
    _setting("gh_token", "", "The same, where there is no copilot_github_token.", env="GH_TOKEN", secret=True),
    _setting("github_token", "", "The same, where there is no gh_token.", env="GITHUB_TOKEN", secret=True),
    _setting(
        "github_copilot_api_token",
        "",
        "Token of copilot itself; then none is got with a token of GitHub.",
        env="GITHUB_COPILOT_API_TOKEN",
        secret=True,
    ),
    _setting("copilot_api_url", "", "Where copilot is asked, for companies with their own.", env="COPILOT_API_URL"),
    _setting("copilot_client_id", "", "Client that `ai-memory auth login copilot` signs in as; empty: the usual one."),
    _setting(
        "models_url",
        "",
        "Where `ai-memory models pull` finds MODEL/FILE. The project publishes none yet: it is your own mirror.",
    ),
    _setting(
        "auth.bearer_token",
        "",
        "Token that every request must carry. Without one only this machine may connect.",
        env="AI_MEMORY_AUTH_TOKEN",
        secret=True,
    ),
    _setting(
        "auth.user_tokens",
        "",
        "File with the tokens of users, whose memories are their own (/mcp/sse): a JSON object {token: user id}; "
        "empty: user_tokens.json in the data directory.",
        env="MCP_TOKENS_PATH",
    ),
)

#: The smallest value of each number.
_LEAST = {
    "session_idle_secs": 1,
    "handoff_quiet_secs": 1,
    "hook_queue": 1,
    "embedding_dim": 0,
    "llm_timeout_secs": 0.01,
    "llm.monthly_budget": 0,
    "consolidation.max_input_tokens": 6_000,
    "consolidation.max_output_tokens": 1_000,
    "consolidation.input_token_safety_margin": 0.1,
    "maintenance.forget_sweep_interval_secs": 60,
    "maintenance.raw_compress_after_days": 0,
    "maintenance.raw_keep_days": 0,
    "maintenance.ledger_keep_months": 0,
    "decay.lambda": 0,
    "decay.sigma": 0,
    "decay.mu": 0,
    "decay.cold_threshold": 0,
    "decay.hard_delete_after_days": 1,
}

#: Texts whose spaces at the ends count.
_VERBATIM = frozenset({"embedding_query_prefix", "embedding_document_prefix"})

_BY_KEY = {setting.key: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force.

    Attributes:
        data_dir: the data directory, absolute.
        values: key -> value, every key of the table.
        sources: key -> where the value came from: "default", the file's path, the variable's name or "flag".
        unknown: keys of the file that the table does not have, which are tolerated and named in `status`.
    """

    data_dir: Path
    values: Mapping[str, Any]
    sources: Mapping[str, str]
    unknown: tuple[str, ...] = ()

    def __getitem__(self, key: str) -> Any:
        """Give the value of a setting."""
        return self.values[key]

    @property
    def bind(self) -> tuple[str, int]:
        """Host and port to listen on."""
        return split_address(self["bind"])

    @property
    def user_tokens(self) -> Path:
        """The file with the tokens of users."""
        named: str = self["auth.user_tokens"].strip()
        return Path(named).expanduser().absolute() if named else self.data_dir / "user_tokens.json"

    @property
    def config_file(self) -> Path:
        """The file that belongs to this data directory."""
        return self.data_dir / "config.toml"


def default_data_dir() -> Path:
    """Give the data directory when no flag names one: `AI_MEMORY_DATA_DIR`, else the platform's."""
    named = os.environ.get("AI_MEMORY_DATA_DIR", "").strip()
    return Path(named).expanduser() if named else Path(platformdirs.user_data_dir("ai-memory", appauthor=False))


def load_settings(
    data_dir: Path | None = None, config_file: Path | None = None, flags: Mapping[str, Any] | None = None
) -> Settings:
    """Read the settings.

    Args:
        data_dir: from the `--data-dir` flag.
        config_file: from the `--config` flag; it must exist then.
        flags: values given on the command line, by key; None means not given.

    Raises:
        ConfigError: a value cannot be used; the message names the place and what would be right.
    """
    folder = (data_dir or default_data_dir()).absolute()
    file = config_file or folder / "config.toml"
    values: dict[str, Any] = {setting.key: setting.default for setting in SETTINGS}
    sources = dict.fromkeys(values, "default")
    unknown: list[str] = []
    for key, value in _flattened(_read(file, must_exist=config_file is not None)):
        if key not in _BY_KEY:
            unknown.append(key)
            continue
        values[key] = _checked(_BY_KEY[key], value, f"{key} in {file}")
        sources[key] = str(file)
    for setting in SETTINGS:
        text = os.environ.get(setting.env, "")
        # A variable that is exported but empty means nothing to anybody, least of all "no token".
        if text.strip():
            values[setting.key] = _from_text(setting, text, setting.env)
            sources[setting.key] = setting.env
    for key, value in (flags or {}).items():
        if value is not None:
            values[key] = _checked(_BY_KEY[key], value, f"the flag for {key}")
            sources[key] = "flag"
    _check_ranges(values, sources)
    return Settings(folder, values, sources, tuple(unknown))


def in_container() -> bool:
    """Tell whether this process runs inside a container, where the publish rule guards the port."""
    return (
        os.environ.get("container", "") != ""  # noqa: SIM112 - podman and systemd write it in lower case
        or Path("/.dockerenv").exists()
        or Path("/run/.containerenv").exists()
    )


def home_directory() -> str:
    """Give the home directory of the user that the program runs as."""
    return str(Path("~").expanduser())


def agent_environment() -> dict[str, str]:
    """Give the variables that move an agent's configuration, and PATH, where its program is looked for."""
    names = (
        "CLAUDE_CONFIG_DIR",
        "CODEX_HOME",
        "GEMINI_CLI_HOME",
        "GROK_HOME",
        "PI_CODING_AGENT_DIR",
        "XDG_CONFIG_HOME",
        "APPDATA",
        "PATH",
    )
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def ltm_folder() -> Path:
    """Give the folder where the `ltm` program keeps its server and token: `LTM_CONFIG_DIR`, else the platform's."""
    named = os.environ.get("LTM_CONFIG_DIR", "").strip()
    return (
        Path(named)
        if named
        else Path(os.environ.get("XDG_CONFIG_HOME", "").strip() or "~/.config").expanduser() / "ltm"
    )


def plain_environment() -> dict[str, str]:
    """Give the environment without what it says of this program."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AI_MEMORY_")}


def search_path() -> str:
    """Give the PATH on which programs are looked for."""
    return os.environ.get("PATH") or os.defpath


def split_address(address: str) -> tuple[str, int]:
    """Take "127.0.0.1:49374" or "[::1]:49374" apart.

    Raises:
        ConfigError: there is no port, or it is out of range.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"bind {address!r} is not an address: write HOST:PORT, for example 127.0.0.1:{DEFAULT_PORT}")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches what listens on a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def template() -> str:
    """Write the config file that `init` makes: every setting with its help, commented out at its default."""
    lines = [
        "# ai-memory: settings. Remove the '#' of a line to change it; `ai-memory status` shows what is in force.",
        "",
    ]
    section = ""
    for setting in sorted(SETTINGS, key=lambda s: "." in s.key):
        head, _, key = setting.key.rpartition(".")
        if head != section:
            section = head
            lines += [f"[{section}]", ""]
        lines += [f"# {setting.help} (environment: {setting.env})", f"# {key} = {_toml(setting.default)}", ""]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _read(file: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))
    except FileNotFoundError:
        if must_exist:
            raise ConfigError(f"the configuration file {file} does not exist") from None
        return {}
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the configuration file {file} is not valid TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"the configuration file {file} cannot be read: {error.strerror}") from error


def _flattened(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            pairs += _flattened(value, f"{prefix}{key}.")
        else:
            pairs.append((prefix + key, value))
    return pairs


def _checked(setting: Setting, value: Any, place: str) -> Any:
    wanted: type = type(setting.default)
    if wanted is float and type(value) is int:
        value = float(value)
    right = isinstance(value, wanted) and not (wanted is int and isinstance(value, bool))
    if right and wanted is list:
        right = all(isinstance(item, str) for item in value)
    if not right:
        names = {
            bool: "true or false",
            int: "a whole number",
            float: "a number",
            str: "a text",
            list: "a list of texts",
        }
        found = "what it is" if setting.secret else repr(value)
        raise ConfigError(f"{place} must be {names[wanted]}, not {found}")
    return value


def _from_text(setting: Setting, text: str, place: str) -> Any:
    readers: dict[type, Callable[[str], Any]] = {
        bool: _truth,
        int: int,
        float: float,
        str: str if setting.key in _VERBATIM else str.strip,
        list: lambda line: [item.strip() for item in line.split(",") if item.strip()],
    }
    try:
        return readers[type(setting.default)](text)
    except ValueError:
        kind = {bool: "true or false", float: "a number"}.get(type(setting.default), "a whole number")
        raise ConfigError(f"{place} must be {kind}, not {text!r}") from None


def _truth(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(text)
    return word in _TRUE


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable() and " " not in text and not parts.query and not parts.fragment
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_origin(text: str) -> bool:
    return _is_address(text) and not urlsplit(text).path and "@" not in text and "*" not in text


def _check_ui(values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    """Refuse a front end that cannot be served: at the start, rather than with an empty page."""
    named = values["web_ui_dir"]
    if not named:
        return
    if not values["enable_web"]:
        raise ConfigError(f"web_ui_dir ({sources['web_ui_dir']}) needs enable_web: without it nothing is served there")
    if not Path(named, "index.html").expanduser().is_file():
        raise ConfigError(f"web_ui_dir {named!r} ({sources['web_ui_dir']}) has no index.html: name a built front end")


def _check_ranges(values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    split_address(values["bind"])
    if values["external_url"] and not _is_address(values["external_url"]):
        raise ConfigError(
            f"external_url {values['external_url']!r} ({sources['external_url']}) is no address: write one like "
            "https://memory.example.org"
        )
    for origin in values["cors_allow_origins"]:
        if not _is_origin(origin):
            raise ConfigError(
                f"cors_allow_origins {origin!r} ({sources['cors_allow_origins']}) is no origin: write each whole, such "
                "as https://notes.example.org; there is no * here, because every page could read the memory then"
            )
    _check_ui(values, sources)
    if values["log_level"] not in ("debug", "info", "warning", "error"):
        raise ConfigError(
            f"log_level must be debug, info, warning or error, not {values['log_level']!r} ({sources['log_level']})"
        )
    for key, least in _LEAST.items():
        # The other way round "nan" would pass.
        if not least <= values[key] < math.inf:
            raise ConfigError(f"{key} must be at least {least}, not {values[key]} ({sources[key]})")
