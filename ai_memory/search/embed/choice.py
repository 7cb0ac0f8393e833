"""Which embedder the settings ask for."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from ai_memory.config import Settings
from ai_memory.errors import ConfigError
from ai_memory.search.embed import google, openai, voyage
from ai_memory.search.embed.embedder import Embedder, EmbeddingError
from ai_memory.search.embed.google import GoogleEmbedder
from ai_memory.search.embed.local import LocalEmbedder
from ai_memory.search.embed.openai import OpenAIEmbedder
from ai_memory.search.embed.voyage import VoyageEmbedder
from ai_memory.store.models import MODELS, Model

_ALIASES = {"gemini": "google", "none": ""}
_PREFIXES = ("embedding_query_prefix", "embedding_document_prefix")
#: provider -> settings that say nothing to it.
_SILENT = {"local": ("embedding_base_url", *_PREFIXES), "voyage": _PREFIXES, "google": _PREFIXES}
_KEYS = {
    "openai": ("embedding_api_key", "openai_api_key"),
    "voyage": ("voyage_api_key",),
    "google": ("gemini_api_key", "google_api_key"),
    "openai-compat": ("embedding_api_key", "llm_api_key"),
}
_ADVICE = {
    "openai": "set EMBEDDING_API_KEY or OPENAI_API_KEY",
    "voyage": "set VOYAGE_API_KEY",
    "google": "set GEMINI_API_KEY or GOOGLE_API_KEY",
    "openai-compat": "set EMBEDDING_API_KEY or LLM_API_KEY",
}
_MODELS = {"openai": "text-embedding-3-small", "voyage": "voyage-3", "google": "gemini-embedding-001"}
_ROOTS = {"openai": openai.ROOT, "voyage": voyage.ROOT, "google": google.ROOT}
#: That of the vector index.
_LARGEST_DIM = 8192


def embedder_of(settings: Settings) -> Callable[[], Embedder] | None:
    """Give what makes the embedder that the settings ask for, None where they ask for none.

    Making it loads libraries, and the model where that is here: seconds, so do it where nobody waits. It raises
    `EmbeddingError` where something is missing that is no setting: a package, the model, a key.

    Raises:
        ConfigError: the settings do not go together; the message names the one to change.
    """
    named = settings["embedding_provider"].strip().lower()
    provider = _ALIASES.get(named, named)
    if not provider:
        return None
    if provider not in ("local", *_ADVICE):
        raise ConfigError(
            f"embedding_provider {named!r} is none: write local, openai, voyage, google, gemini, openai-compat or none"
        )
    for key in _SILENT.get(provider, ()):
        if settings[key]:
            raise ConfigError(f"{key} says nothing to embedding_provider {named}: remove one of them")
    if provider == "local":
        model = _local_model(settings)
        return lambda: LocalEmbedder(settings.data_dir, model)
    root, name = _root(settings, provider), settings["embedding_model"].strip() or _MODELS.get(provider, "")
    if not name or (provider == "openai-compat" and not settings["embedding_dim"]):
        missing = "embedding_dim" if name else "embedding_model"
        raise ConfigError(f"embedding_provider {provider} needs {missing}: no server of that kind has a usual one")
    dim = _dim(settings, _usual_dim(provider, name))
    return lambda: _of_vendor(settings, provider, name, dim, root)


def _of_vendor(settings: Settings, provider: str, model: str, dim: int, root: str) -> Embedder:
    advice = _ADVICE[provider]
    keys = _KEYS[provider]
    if provider == "openai" and settings["embedding_base_url"]:
        keys = (*keys, "llm_api_key")
    key = next((found for name in keys if (found := settings[name].strip())), "")
    if not key and provider != "openai-compat":
        raise EmbeddingError(f"there is no key for embedding_provider {provider}: {advice}", "never")
    if provider == "voyage":
        return VoyageEmbedder(model, dim, root=root, key=key, advice=advice)
    if provider == "google":
        return GoogleEmbedder(model, dim, root=root, key=key, advice=advice)
    return OpenAIEmbedder(
        provider,
        model,
        dim,
        root=root,
        key=key,
        advice=advice,
        asks_dim=provider == "openai" and dim != _usual_dim(provider, model),
        query_prefix=settings["embedding_query_prefix"],
        document_prefix=settings["embedding_document_prefix"],
    )


def _local_model(settings: Settings) -> Model:
    named = settings["embedding_model"].strip()
    for model in MODELS:
        if named in ("", model.name):
            if settings["embedding_dim"] not in (0, model.dim):
                raise ConfigError(f"embedding_dim of {model.name} is {model.dim}, not {settings['embedding_dim']}")
            return model
    known = ", ".join(model.name for model in MODELS)
    raise ConfigError(f"embedding_model {named!r} is no model of embedding_provider local: it knows {known}")


def _root(settings: Settings, provider: str) -> str:
    url = settings["embedding_base_url"].strip()
    if not url and provider in _ROOTS:
        return _ROOTS[provider]
    if not url:
        raise ConfigError(f"embedding_provider {provider} needs embedding_base_url, for example http://127.0.0.1:8080")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"embedding_base_url {url!r} is not a URL: write one like http://127.0.0.1:8080")
    return url.rstrip("/") if provider == "google" else openai.root_of(url)


def _usual_dim(provider: str, model: str) -> int:
    if provider == "openai":
        return 3072 if model == "text-embedding-3-large" else 1536
    return {"voyage": voyage.FIXED.get(model, 1024), "google": 768}.get(provider, 0)


def _dim(settings: Settings, usual: int) -> int:
    dim: int = settings["embedding_dim"] or usual
    if dim % 8 or dim > _LARGEST_DIM:
        raise ConfigError(f"embedding_dim must be a multiple of 8 and at most {_LARGEST_DIM}, not {dim}")
    return dim
