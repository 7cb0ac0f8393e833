"""Google: the batch call of its own API, which knows what a text is for and how long its vector shall be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ai_memory.search.embed.vendor import VendorEmbedder

ROOT = "https://generativelanguage.googleapis.com/v1beta"


class GoogleEmbedder(VendorEmbedder):
    """Vectors of Google; see `Embedder`."""

    def __init__(self, model: str, dim: int, *, root: str, key: str, advice: str) -> None:
        super().__init__("google", model, dim, root, key, "x-goog-api-key", advice)

    def _request(self, texts: Sequence[str], *, is_query: bool) -> tuple[str, dict[str, object]]:
        model = f"models/{self.model}"
        for_what = {
            "model": model,
            "taskType": "RETRIEVAL_QUERY" if is_query else "RETRIEVAL_DOCUMENT",
            "outputDimensionality": self.dim,
        }
        requests = [{**for_what, "content": {"parts": [{"text": text}]}} for text in texts]
        return f"/{model}:batchEmbedContents", {"requests": requests}

    def _answer(self, answer: Any) -> tuple[list[Sequence[float]], int]:
        used = (answer.get("usageMetadata") or {}).get("promptTokenCount") or 0
        return [row["values"] for row in answer["embeddings"]], int(used)
