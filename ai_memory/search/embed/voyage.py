"""Voyage AI: OpenAI's shape, and a word for whether a text is looked for or looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ai_memory.search.embed.openai import vectors_of
from ai_memory.search.embed.vendor import VendorEmbedder

ROOT = "https://api.voyageai.com/v1"
#: Models that have no choice of the dim, and theirs; the others give 1024 unless asked.
FIXED = {"voyage-3": 1024, "voyage-3-lite": 512, "voyage-code-2": 1536, "voyage-finance-2": 1024, "voyage-law-2": 1024}


class VoyageEmbedder(VendorEmbedder):
    """Vectors of Voyage AI; see `Embedder`."""

    def __init__(self, model: str, dim: int, *, root: str, key: str, advice: str) -> None:
        super().__init__("voyage", model, dim, root, key, "Authorization", advice)
        self._more = {} if model in FIXED else {"output_dimension": dim}

    def _request(self, texts: Sequence[str], *, is_query: bool) -> tuple[str, dict[str, object]]:
        kind = "query" if is_query else "document"
        return "/embeddings", {"model": self.model, "input": list(texts), "input_type": kind, **self._more}

    def _answer(self, answer: Any) -> tuple[list[Sequence[float]], int]:
        return vectors_of(answer)
