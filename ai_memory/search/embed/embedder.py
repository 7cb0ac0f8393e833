"""What turns texts into vectors, and how it can fail."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Sequence
from typing import Literal, Protocol

from ai_memory.errors import AiMemoryError

Retry = Literal["later", "never"]


class EmbeddingError(AiMemoryError):
    """Texts could not be turned into vectors.

    Attributes:
        retry: "later" when the same call may do (the vendor is busy or away), "never" when only a person can help:
            the message says what to do, and it is no use to ask again with these settings.
        after: seconds that the vendor asked to wait, 0.0 when it named none.
    """

    status = 502

    def __init__(self, message: str, retry: Retry, after: float = 0.0) -> None:
        super().__init__(message)
        self.retry: Retry = retry
        self.after = after


class Embedder(Protocol):
    """Texts as vectors of one model; may be used by several threads at once.

    A vector is `dim` little-endian float32 numbers of length 1, so that a dot product is a cosine. Vectors are
    comparable only where provider, model and dim are the same.
    """

    @property
    def provider(self) -> str:
        """Who makes the vectors, for example "local"."""

    @property
    def model(self) -> str:
        """By which model, with what else changes the vectors of documents."""

    @property
    def dim(self) -> int:
        """Numbers in a vector, a multiple of 8."""

    def documents(self, texts: Sequence[str]) -> list[bytes]:
        """Embed texts that are looked for, none of them empty; one vector for each, in their order.

        Raises:
            EmbeddingError: all or nothing; `retry` says whether asking again can help.
        """

    def query(self, text: str) -> bytes:
        """Embed what somebody looks for, not empty.

        Raises:
            EmbeddingError: the same.
        """

    def used_tokens(self) -> int:
        """Give the tokens that the vendor has counted since the last asking, 0 from a model of this machine."""


def packed(numbers: Sequence[float]) -> bytes:
    """Scale a vector to length 1 and pack it.

    Raises:
        EmbeddingError: it holds no direction: zeros, or numbers that are none.
    """
    try:
        length = math.hypot(*numbers)
        if 0.0 < length < math.inf:
            vector = array("f", [number / length for number in numbers])
            if sys.byteorder == "big":
                vector.byteswap()
            return vector.tobytes()
    except (TypeError, OverflowError):
        pass
    raise EmbeddingError("the model gave a vector without a direction: zeros, or what is no number", "never")
