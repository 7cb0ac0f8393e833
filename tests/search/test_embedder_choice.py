"""Settings choose an embedder, or say what is wrong with them."""

import subprocess
import sys

import pytest

from ai_memory.config import load_settings
from ai_memory.errors import ConfigError
from ai_memory.search.embed.choice import embedder_of
from ai_memory.search.embed.embedder import EmbeddingError


@pytest.fixture
def chosen(tmp_path):
    def chosen(**settings):
        return embedder_of(load_settings(tmp_path, flags={f"embedding_{key}": each for key, each in settings.items()}))

    return chosen


@pytest.mark.parametrize("provider", ["", "none", " None "])
def test_without_a_provider_there_is_no_embedder_whatever_keys_are_about(provider, chosen, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert chosen(provider=provider) is None


@pytest.mark.parametrize(
    ("settings", "triple"),
    [
        ({"provider": "openai"}, ("openai", "text-embedding-3-small", 1536)),
        ({"provider": "OpenAI", "model": "text-embedding-3-large"}, ("openai", "text-embedding-3-large", 3072)),
        (
            {"provider": "openai", "model": "text-embedding-3-large", "dim": 256},
            ("openai", "text-embedding-3-large", 256),
        ),
        ({"provider": "openai", "model": "another"}, ("openai", "another", 1536)),
        ({"provider": "voyage"}, ("voyage", "voyage-3", 1024)),
        ({"provider": "voyage", "model": "voyage-3-lite"}, ("voyage", "voyage-3-lite", 512)),
        ({"provider": "google"}, ("google", "gemini-embedding-001", 768)),
        ({"provider": "gemini", "dim": 3072}, ("google", "gemini-embedding-001", 3072)),
        (
            {"provider": "openai-compat", "base_url": "http://127.0.0.1:1", "model": "bge-m3", "dim": 1024},
            ("openai-compat", "bge-m3", 1024),
        ),
    ],
)
def test_a_provider_has_its_usual_model_and_dim(settings, triple, chosen, monkeypatch):
    for name in ("OPENAI_API_KEY", "VOYAGE_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, "k")
    embedder = chosen(**settings)()
    assert (embedder.provider, embedder.model, embedder.dim) == triple


URL = "http://127.0.0.1:8080"
COMPAT = {"provider": "openai-compat", "base_url": URL, "model": "m", "dim": 8}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"provider": "cohere"},
            "embedding_provider 'cohere' is none: write local, openai, voyage, google, gemini, openai-compat or none",
        ),
        ({**COMPAT, "base_url": ""}, f"embedding_provider openai-compat needs embedding_base_url, for example {URL}"),
        (
            {**COMPAT, "base_url": "localhost:8080"},
            f"embedding_base_url 'localhost:8080' is not a URL: write one like {URL}",
        ),
        ({**COMPAT, "base_url": "http://a:b"}, f"embedding_base_url 'http://a:b' is not a URL: write one like {URL}"),
        (
            {**COMPAT, "model": ""},
            "embedding_provider openai-compat needs embedding_model: no server of that kind has a usual one",
        ),
        (
            {**COMPAT, "dim": 0},
            "embedding_provider openai-compat needs embedding_dim: no server of that kind has a usual one",
        ),
        ({**COMPAT, "dim": 100}, "embedding_dim must be a multiple of 8 and at most 8192, not 100"),
        ({**COMPAT, "dim": 8200}, "embedding_dim must be a multiple of 8 and at most 8192, not 8200"),
        ({"provider": "local", "dim": 512}, "embedding_dim of all-MiniLM-L6-v2-int8 is 384, not 512"),
        (
            {"provider": "local", "model": "bge-m3"},
            "embedding_model 'bge-m3' is no model of embedding_provider local: it knows all-MiniLM-L6-v2-int8",
        ),
        (
            {"provider": "local", "base_url": URL},
            "embedding_base_url says nothing to embedding_provider local: remove one of them",
        ),
        (
            {"provider": "gemini", "query_prefix": "q: "},
            "embedding_query_prefix says nothing to embedding_provider gemini: remove one of them",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused_by_name(settings, said, chosen):
    with pytest.raises(ConfigError) as caught:
        chosen(**settings)
    assert str(caught.value) == said


def test_a_negative_dim_is_refused(chosen):
    with pytest.raises(ConfigError, match="embedding_dim must be at least 0, not -8"):
        chosen(provider="openai", dim=-8)


@pytest.mark.parametrize(
    ("settings", "keys", "used"),
    [
        ({"provider": "openai"}, "EMBEDDING_API_KEY OPENAI_API_KEY LLM_API_KEY", "EMBEDDING_API_KEY"),
        ({"provider": "openai"}, "OPENAI_API_KEY LLM_API_KEY", "OPENAI_API_KEY"),
        ({"provider": "openai"}, "LLM_API_KEY VOYAGE_API_KEY", None),
        ({"provider": "openai", "base_url": URL}, "LLM_API_KEY", "LLM_API_KEY"),
        ({"provider": "voyage"}, "VOYAGE_API_KEY EMBEDDING_API_KEY", "VOYAGE_API_KEY"),
        ({"provider": "voyage"}, "EMBEDDING_API_KEY OPENAI_API_KEY", None),
        ({"provider": "google"}, "GEMINI_API_KEY GOOGLE_API_KEY", "GEMINI_API_KEY"),
        ({"provider": "gemini"}, "GOOGLE_API_KEY", "GOOGLE_API_KEY"),
        ({"provider": "google"}, "OPENAI_API_KEY", None),
        (COMPAT, "EMBEDDING_API_KEY LLM_API_KEY", "EMBEDDING_API_KEY"),
        (COMPAT, "LLM_API_KEY OPENAI_API_KEY", "LLM_API_KEY"),
        (COMPAT, "OPENAI_API_KEY", ""),
    ],
)
def test_the_first_key_of_the_provider_is_used_and_no_other_vendors(settings, keys, used, chosen, monkeypatch):
    for name in keys.split():
        monkeypatch.setenv(name, f"key of {name}")
    make = chosen(**settings)
    if used is None:
        with pytest.raises(EmbeddingError, match="there is no key for embedding_provider") as caught:
            make()
        assert caught.value.retry == "never"
    else:
        assert make()._key == (used and f"key of {used}")


def test_nothing_heavy_is_loaded_before_an_embedder_is_made():
    script = (
        "import sys, ai_memory.search.embed.choice, ai_memory.cli.models\n"
        "print(sorted({'openai', 'onnxruntime', 'tokenizers', 'numpy', 'pydantic'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_a_key_of_the_wrong_kind_is_refused_without_being_shown(tmp_path):
    (tmp_path / "config.toml").write_text("openai_api_key = 123456\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path)
    assert str(caught.value) == f"openai_api_key in {tmp_path / 'config.toml'} must be a text, not what it is"
