"""A small model on this machine: onnxruntime, two threads, nothing leaves the house."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ai_memory.search.embed.embedder import EmbeddingError
from ai_memory.store.models import Model, faults_of, folder_of

#: Texts in one pass, and its tokens with the padding: more of them take more memory, and are no faster on two threads.
_TEXTS = 16
_TOKENS = 1024
_THREADS = 2


class LocalEmbedder:
    """Vectors of a model in the data directory; see `Embedder`."""

    provider = "local"

    def __init__(self, data_dir: Path, model: Model) -> None:
        """Load the libraries and the model: a fraction of a second, and about 100 MB of memory.

        Raises:
            EmbeddingError: the extra is not installed, or the model is not, or is damaged; it names the command.
        """
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError as error:
            raise EmbeddingError(
                f"embedding_provider local needs more packages ({error}): "
                f"{sys.executable} -m pip install onnxruntime tokenizers numpy",
                "never",
            ) from error
        if faults := faults_of(data_dir, model):
            raise EmbeddingError(
                f"the model {model.name} cannot be used ({faults[0]}): ai-memory models install --from DIR, or "
                "ai-memory models pull",
                "never",
            )
        self.model, self.dim = model.name, model.dim
        folder = folder_of(data_dir, model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = _THREADS, 1
        # Kept, the memory of the largest batch is never given back; a thread that spins takes a processor for nothing.
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        # Both libraries raise Exception itself, or classes that have no other base.
        except Exception as error:
            raise EmbeddingError(f"the model {model.name} cannot be loaded: {error}", "never") from error
        # The file itself says 128 for both.
        self._tokenizer.enable_truncation(model.tokens)
        self._tokenizer.no_padding()

    def documents(self, texts: Sequence[str]) -> list[bytes]:
        """Embed texts that are looked for."""
        # One by one: the library's own batches fork badly, and a pass takes a hundred times as long.
        tokens: list[list[int]] = [self._tokenizer.encode(text).ids for text in texts]
        vectors = [b""] * len(texts)
        for batch in _passes([len(text) for text in tokens]):
            for n, vector in zip(batch, self._passed([tokens[n] for n in batch]), strict=True):
                vectors[n] = vector
        return vectors

    def query(self, text: str) -> bytes:
        """Embed what somebody looks for: with this model the same as a document."""
        return self.documents([text])[0]

    def used_tokens(self) -> int:
        """Give 0: nobody counts."""
        return 0

    def _passed(self, tokens: list[list[int]]) -> list[bytes]:
        import numpy as np

        ids = np.zeros((len(tokens), max(map(len, tokens))), np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        try:
            (hidden,) = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
        # As above.
        except Exception as error:
            raise EmbeddingError(f"the model {self.model} failed: {error}", "later") from error
        vectors = pooled(hidden, mask)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return [vector.astype("<f4").tobytes() for vector in vectors / lengths]


def _passes(lengths: list[int]) -> Iterator[list[int]]:
    """Share texts out, as their numbers: neighbours of about one length need little padding."""
    batch: list[int] = []
    for n in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) == _TEXTS or (len(batch) + 1) * lengths[n] > _TOKENS):
            yield batch
            batch = []
        batch.append(n)
    if batch:
        yield batch


def pooled(hidden: Any, mask: Any) -> Any:
    """Average what the model says of each word, over the words that are there and not over the padding.

    Args:
        hidden: texts x words x dim.
        mask: texts x words, 1 for a word and 0 for padding.
    """
    weights = mask[:, :, None].astype(hidden.dtype)
    return (hidden * weights).sum(axis=1) / weights.sum(axis=1)
