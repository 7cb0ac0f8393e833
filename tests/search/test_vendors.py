"""Embedders over HTTP: what goes over the wire, and every way in which it does not come back."""

import socket
import threading
import time
from array import array
from math import hypot

import pytest
from vendors import KEY, Vendors, raw_vector

from ai_memory import __version__
from ai_memory.config import load_settings
from ai_memory.search.embed import vendor
from ai_memory.search.embed.choice import embedder_of
from ai_memory.search.embed.embedder import EmbeddingError

KEYS = {
    "openai": "openai_api_key",
    "voyage": "voyage_api_key",
    "google": "gemini_api_key",
    "openai-compat": "embedding_api_key",
}
NAMES = list(KEYS)


@pytest.fixture
def server():
    server = Vendors()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def make(server, tmp_path):
    def make(provider, **more):
        url = f"{server.url}/v1beta" if provider == "google" else server.url
        flags = {
            "embedding_provider": provider,
            "embedding_model": "some-model",
            "embedding_dim": 8,
            "embedding_base_url": url,
            KEYS[provider]: KEY,
            **more,
        }
        return embedder_of(load_settings(tmp_path, flags=flags))()

    return make


def unit(numbers):
    return array("f", [number / hypot(*numbers) for number in numbers]).tobytes()


#: provider -> what its server is told beside the text, of a document and of a query.
SIDES = {
    "openai": ("", ""),
    "voyage": ("document", "query"),
    "google": ("RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY"),
    "openai-compat": ("", ""),
}


@pytest.mark.parametrize("provider", NAMES)
def test_each_text_gets_its_vector_of_length_1_in_its_place(provider, make, server):
    embedder = make(provider)
    texts = [f"text {n}" for n in range(40)]
    document, query = SIDES[provider]
    assert embedder.documents(texts) == [unit(raw_vector(document + text, 8)) for text in texts]
    assert embedder.query("text 1") == unit(raw_vector(query + "text 1", 8))
    assert embedder.documents([]) == []
    asked = [len(body.get("input") or body["requests"]) for _, _, _, body in server.requests]
    assert asked == [32, 8, 1]
    assert (embedder.provider, embedder.model, embedder.dim) == (provider, "some-model", 8)


BODIES = {
    "openai": (
        "/v1/embeddings",
        {"model": "some-model", "input": ["a"], "dimensions": 8},
        {"model": "some-model", "input": ["a"], "dimensions": 8},
    ),
    "openai-compat": (
        "/v1/embeddings",
        {"model": "some-model", "input": ["a"]},
        {"model": "some-model", "input": ["a"]},
    ),
    "voyage": (
        "/v1/embeddings",
        {"model": "some-model", "input": ["a"], "input_type": "document", "output_dimension": 8},
        {"model": "some-model", "input": ["a"], "input_type": "query", "output_dimension": 8},
    ),
    "google": (
        "/v1beta/models/some-model:batchEmbedContents",
        {
            "requests": [
                {
                    "model": "models/some-model",
                    "taskType": "RETRIEVAL_DOCUMENT",
                    "outputDimensionality": 8,
                    "content": {"parts": [{"text": "a"}]},
                }
            ]
        },
        {
            "requests": [
                {
                    "model": "models/some-model",
                    "taskType": "RETRIEVAL_QUERY",
                    "outputDimensionality": 8,
                    "content": {"parts": [{"text": "a"}]},
                }
            ]
        },
    ),
}


@pytest.mark.parametrize("provider", NAMES)
def test_the_vendor_is_told_what_a_text_is_for(provider, make, server):
    embedder = make(provider)
    embedder.documents(["a"])
    embedder.query("a")
    path, document, query = BODIES[provider]
    assert [(each[0], each[1], each[3]) for each in server.requests] == [
        ("POST", path, document),
        ("POST", path, query),
    ]


def test_prefixes_are_put_before_the_texts_and_that_of_documents_is_part_of_the_model(make, server):
    prefixes = {"embedding_query_prefix": "query: ", "embedding_document_prefix": "passage: "}
    embedder = make("openai-compat", **prefixes)
    embedder.documents(["a"])
    embedder.query("a")
    assert [body["input"] for *_, body in server.requests] == [["passage: a"], ["query: a"]]
    assert {body["model"] for *_, body in server.requests} == {"some-model"}
    assert embedder.model == "some-model after 'passage: '"
    assert make("openai-compat", embedding_query_prefix="q: ").model == "some-model"


def test_a_prefix_keeps_the_space_at_its_end_wherever_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("AI_MEMORY_EMBEDDING_QUERY_PREFIX", "query: ")
    assert load_settings(tmp_path)["embedding_query_prefix"] == "query: "


@pytest.mark.parametrize("provider", NAMES)
def test_the_key_goes_where_the_vendor_wants_it_and_nothing_foreign_goes_along(provider, make, server, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-somebody")
    make(provider).query("a")
    ((_, path, headers, _),) = server.requests
    headers = {name.lower(): value for name, value in headers.items()}
    assert KEY not in path
    assert headers["user-agent"] == f"ai-memory/{__version__}"
    wanted = {"x-goog-api-key": KEY} if provider == "google" else {"authorization": f"Bearer {KEY}"}
    assert {name: value for name, value in headers.items() if KEY in value} == wanted
    assert ("openai-organization" in headers, "openai-project" in headers) == ((provider == "openai",) * 2)


def test_a_server_that_wants_no_key_is_sent_none(make, server):
    server.fails = (200, {"data": [{"index": 0, "embedding": [1.0] * 8}]})
    assert make("openai-compat", embedding_api_key="").query("a") == unit([1.0] * 8)
    assert "authorization" not in {name.lower() for name in server.requests[0][2]}


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/embeddings"])
def test_a_base_url_is_understood_however_it_is_written(end, make, server):
    make("openai", embedding_base_url=server.url + end).query("a")
    make("openai", embedding_base_url=f"{server.url}/api{end}").query("a")
    assert [path for _, path, _, _ in server.requests] == ["/v1/embeddings", "/api/v1/embeddings"]


def test_the_tokens_that_the_vendor_counts_are_told_once(make):
    embedder = make("voyage")
    embedder.documents(["a"] * 40)
    embedder.query("a")
    assert (embedder.used_tokens(), embedder.used_tokens()) == (123, 0)


def failure(embedder, text="a"):
    with pytest.raises(EmbeddingError) as caught:
        embedder.documents([text])
    with pytest.raises(EmbeddingError) as of_query:
        embedder.query(text)
    assert str(of_query.value) == str(caught.value)
    assert KEY not in str(caught.value)
    return caught.value.retry, caught.value.after, str(caught.value)


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.parametrize(
    ("status", "headers", "after"),
    [(429, {"Retry-After": "7"}, 7.0), (429, {}, 0.0), (503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.0)]
    + [(status, {}, 0.0) for status in (408, 500, 502, 529)],
)
def test_what_passes_is_to_be_asked_again_later_and_only_by_the_caller(provider, status, headers, after, make, server):
    server.fails = (status, {"error": {"message": "overloaded"}}, headers)
    said = f"{provider} is busy or not well (HTTP {status}: overloaded)"
    assert failure(make(provider)) == ("later", after, said)
    assert len(server.requests) == 2


LOOK = "look at embedding_model, embedding_dim and embedding_base_url"


@pytest.mark.parametrize(
    ("provider", "status", "todo"),
    [
        ("openai", 401, "set EMBEDDING_API_KEY or OPENAI_API_KEY"),
        ("openai-compat", 403, "set EMBEDDING_API_KEY or LLM_API_KEY"),
        ("voyage", 401, "set VOYAGE_API_KEY"),
        ("google", 400, f"{LOOK}; set GEMINI_API_KEY or GOOGLE_API_KEY"),
        ("voyage", 422, f"{LOOK}; set VOYAGE_API_KEY"),
        ("openai", 404, "look at embedding_model and embedding_base_url"),
    ],
)
def test_what_only_a_person_can_help_says_how_and_is_not_asked_again(provider, status, todo, make, server):
    server.fails = (status, {"error": {"message": f"no such thing for {KEY}" + "x" * 900}})
    retry, after, said = failure(make(provider))
    detail = ("no such thing for [REDACTED]" + "x" * 900)[:300]
    assert (retry, after, said) == ("never", 0.0, f"{provider} refused (HTTP {status}: {detail}): {todo}")


def test_a_redirect_does_not_carry_the_key_away(make, server):
    server.fails = (302, b"", {"Location": f"{server.url}/elsewhere"})
    assert failure(make("google"))[0] == "never"
    assert {path for _, path, _, _ in server.requests} == {"/v1beta/models/some-model:batchEmbedContents"}


@pytest.mark.parametrize("provider", NAMES)
def test_another_dimension_than_expected_is_refused_by_name(provider, make, server):
    server.dim = 16
    if provider == "google":
        server.spoil = lambda answer: {"embeddings": [{"values": [1.0] * 16} for _ in answer["embeddings"]]}
    said = (
        f"{provider} gave vectors of 16 numbers where 8 were expected: set embedding_dim to what the model gives, "
        "or name another embedding_model"
    )
    assert failure(make(provider)) == ("never", 0.0, said)


NO_VECTORS = (
    lambda answer: [],
    lambda answer: {},
    lambda answer: {"data": None, "embeddings": None},
    lambda answer: {"data": [], "embeddings": []},
    lambda answer: {"data": [{"index": 0}], "embeddings": [{}]},
    lambda answer: {"data": [{"index": 0, "embedding": 7}], "embeddings": [{"values": 7}]},
    lambda answer: b"<html>please log in</html>",
)


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.parametrize("spoil", NO_VECTORS)
def test_an_answer_of_another_kind_is_an_error_and_no_crash(provider, spoil, make, server):
    server.spoil = spoil
    retry, _, said = failure(make(provider))
    assert retry == "later"
    assert said.startswith(f"what {provider} at 127.0.0.1:{server.server_port} answers is not one vector for each text")


@pytest.mark.parametrize("numbers", [[0.0] * 8, ["1.0"] * 8, [None] * 8, [float("nan")] * 8])
def test_a_vector_without_a_direction_is_refused(numbers, make, server):
    server.spoil = lambda answer: {"data": [{"index": 0, "embedding": numbers}]}
    retry, _, said = failure(make("voyage"))
    assert (retry, said) == ("never", "the model gave a vector without a direction: zeros, or what is no number")


@pytest.mark.parametrize("provider", NAMES)
def test_a_server_that_hangs_is_left_after_a_while(provider, make, server, monkeypatch):
    monkeypatch.setattr(vendor, "QUERY_SECONDS", 0.2)
    monkeypatch.setattr(vendor, "DOCUMENTS_SECONDS", 0.2)
    server.fails = "hang"
    begun = time.monotonic()
    said = f"{provider} at 127.0.0.1:{server.server_port} gave no answer in 0.2 s"
    assert failure(make(provider)) == ("later", 0.0, said)
    assert time.monotonic() - begun < 10


def test_a_server_that_is_away_may_come_back(make, server):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    retry, after, said = failure(make("openai-compat", embedding_base_url=f"http://127.0.0.1:{port}"))
    assert (retry, after) == ("later", 0.0)
    assert said.startswith(f"openai-compat cannot be reached at 127.0.0.1:{port}: ")
