"""OpenAI, and the many servers that speak like it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ai_memory.search.embed.vendor import VendorEmbedder

ROOT = "https://api.openai.com/v1"
_ENDPOINT = "/embeddings"
_VERSIONED = re.compile(r"/v\d{1,2}$")


class OpenAIEmbedder(VendorEmbedder):
    """Vectors of OpenAI, or of a server that speaks like it; see `Embedder`."""

    def __init__(
        self,
        provider: str,
        model: str,
        dim: int,
        *,
        root: str,
        key: str,
        advice: str,
        asks_dim: bool,
        query_prefix: str = "",
        document_prefix: str = "",
    ) -> None:
        """Load the SDK.

        Args:
            provider, model, dim, root, key, advice: see `VendorEmbedder`.
            asks_dim: whether the request names the dim: not all models have a choice.
            query_prefix, document_prefix: put before a text. With another prefix for documents it is another model.
        """
        name = f"{model} after {document_prefix!r}" if document_prefix else model
        super().__init__(provider, name, dim, root, key, "Authorization", advice)
        self._asked_model = model
        self._more = {"dimensions": dim} if asks_dim else {}
        self._prefixes = (document_prefix, query_prefix)

    def _request(self, texts: Sequence[str], *, is_query: bool) -> tuple[str, dict[str, object]]:
        texts = [self._prefixes[is_query] + text for text in texts]
        return _ENDPOINT, {"model": self._asked_model, "input": texts, **self._more}

    def _answer(self, answer: Any) -> tuple[list[Sequence[float]], int]:
        return vectors_of(answer)


def vectors_of(answer: Any) -> tuple[list[Sequence[float]], int]:
    """Read an answer in OpenAI's shape: the vectors in the order of the texts, and the tokens counted.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it has another shape.
    """
    rows = sorted(answer["data"], key=lambda row: int(row["index"]))
    return [row["embedding"] for row in rows], int((answer.get("usage") or {}).get("total_tokens") or 0)


def root_of(url: str) -> str:
    """Give the root of a server as people write its URL: with the endpoint, with the version, or with neither."""
    url = url.rstrip("/")
    if url.endswith(_ENDPOINT):
        return url.removesuffix(_ENDPOINT)
    return url if _VERSIONED.search(url) else f"{url}/v1"
