"""Embedders over HTTP, through the SDK: what all vendors have in common, above all how asking them can fail."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from ai_memory import __version__
from ai_memory.search.embed.embedder import EmbeddingError, packed

#: Patience with an answer. A query has somebody who waits for it.
QUERY_SECONDS = 5.0
DOCUMENTS_SECONDS = 60.0
#: Texts in one request: what the smallest of the usual servers takes.
_BATCH = 32
_LONGEST_DETAIL = 300
#: Statuses that pass: the vendor is busy, or not well.
_PASSING = frozenset({408, 409, 425, 429})


class VendorEmbedder(ABC):
    """An embedder that asks a vendor; see `Embedder`."""

    def __init__(self, provider: str, model: str, dim: int, root: str, key: str, key_header: str, advice: str) -> None:
        """Load the SDK; sends nothing yet.

        Args:
            provider, model, dim: what the vectors are kept by.
            root: the URL that paths are appended to.
            key: "" where none is needed.
            key_header: the header that carries it.
            advice: what a person does when the key is missing or refused.
        """
        from openai import Omit, OpenAI

        # They tell of every request, and at "debug" of the texts in it.
        for logger in ("openai", "httpx2", "httpcore2"):
            logging.getLogger(logger).setLevel(logging.WARNING)
        self.provider, self.model, self.dim = provider, model, dim
        self._host = urlsplit(root).netloc.rpartition("@")[2]
        self._key, self._advice = key, advice
        nothing = Omit()
        self._headers: dict[str, str | Omit] = {
            "Authorization": nothing,
            "User-Agent": f"ai-memory/{__version__}",
        }
        if provider != "openai":
            # The SDK takes them from the environment, and they are no other vendor's business.
            self._headers |= {"OpenAI-Organization": nothing, "OpenAI-Project": nothing}
        if key:
            self._headers[key_header] = f"Bearer {key}" if key_header == "Authorization" else key
        # Whoever asks decides when to ask again: a sleep in here would hold up the end of the program.
        self._client = OpenAI(api_key=key or "none", base_url=root, max_retries=0)
        self._lock = Lock()
        self._tokens = 0

    def documents(self, texts: Sequence[str]) -> list[bytes]:
        """Embed texts that are looked for."""
        batches = [texts[start : start + _BATCH] for start in range(0, len(texts), _BATCH)]
        return [vector for batch in batches for vector in self._embedded(batch, is_query=False)]

    def query(self, text: str) -> bytes:
        """Embed what somebody looks for."""
        return self._embedded([text], is_query=True)[0]

    def used_tokens(self) -> int:
        """Give the tokens that the vendor has counted since the last asking."""
        with self._lock:
            used, self._tokens = self._tokens, 0
        return used

    @abstractmethod
    def _request(self, texts: Sequence[str], *, is_query: bool) -> tuple[str, dict[str, object]]:
        """Give the path and the body that ask for the vectors of texts."""

    @abstractmethod
    def _answer(self, answer: Any) -> tuple[list[Sequence[float]], int]:
        """Read an answer: the vectors in the order of the texts, and the tokens that were counted.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is none.
        """

    def _embedded(self, texts: Sequence[str], *, is_query: bool) -> list[bytes]:
        path, body = self._request(texts, is_query=is_query)
        answer = self._asked(path, body, QUERY_SECONDS if is_query else DOCUMENTS_SECONDS)
        try:
            vectors, tokens = self._answer(answer)
            dims = {len(vector) for vector in vectors}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._not_vectors() from None
        with self._lock:
            self._tokens += tokens
        if len(vectors) != len(texts):
            raise self._not_vectors()
        if wrong := dims - {self.dim}:
            raise EmbeddingError(
                f"{self.provider} gave vectors of {wrong.pop()} numbers where {self.dim} were expected: set "
                "embedding_dim to what the model gives, or name another embedding_model",
                "never",
            )
        return [packed(vector) for vector in vectors]

    def _asked(self, path: str, body: dict[str, object], seconds: float) -> object:
        import openai

        try:
            return self._client.post(
                path,
                cast_to=object,
                body=body,
                # A redirect would carry the key to somebody whom nobody has named.
                options={"headers": self._headers, "timeout": seconds, "follow_redirects": False},
            )
        except openai.APITimeoutError:
            raise EmbeddingError(f"{self.provider} at {self._host} gave no answer in {seconds:g} s", "later") from None
        except openai.APIConnectionError as error:
            raise EmbeddingError(
                f"{self.provider} cannot be reached at {self._host}: {error.__cause__ or error}", "later"
            ) from None
        except openai.APIStatusError as error:
            raise self._refusal(error.status_code, self._detail(error), error.response.headers) from None
        except (openai.OpenAIError, ValueError):
            # The cause is not told: it may hold the headers, and with them the key.
            raise self._not_vectors() from None

    def _refusal(self, status: int, detail: str, headers: Mapping[str, str]) -> EmbeddingError:
        said = f"(HTTP {status}{': ' if detail else ''}{detail})"
        if status in _PASSING or status >= 500:
            return EmbeddingError(f"{self.provider} is busy or not well {said}", "later", _seconds(headers))
        what = {401: self._advice, 403: self._advice, 404: "look at embedding_model and embedding_base_url"}
        todo = what.get(status, f"look at embedding_model, embedding_dim and embedding_base_url; {self._advice}")
        return EmbeddingError(f"{self.provider} refused {said}: {todo}", "never")

    def _detail(self, error: Any) -> str:
        """Read what the vendor says of an error, without the key, which some repeat."""
        body = error.body
        said = (body.get("message") or body.get("detail")) if isinstance(body, Mapping) else None
        text = " ".join(str(said or error.response.text).split())
        return (text.replace(self._key, "[REDACTED]") if self._key else text)[:_LONGEST_DETAIL]

    def _not_vectors(self) -> EmbeddingError:
        return EmbeddingError(
            f"what {self.provider} at {self._host} answers is not one vector for each text: "
            "look at embedding_base_url, if this goes on",
            "later",
        )


def _seconds(headers: Mapping[str, str]) -> float:
    """Read how long the vendor wants us to wait, 0.0 where it says nothing or names a date."""
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return 0.0
