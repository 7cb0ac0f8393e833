"""What all requests to models have in common: how much they may hold, and schemas of closed objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ai_memory.errors import BadRequestError
from ai_memory.llm.tokens import estimated_tokens

#: Tokens for what a vendor puts around a request.
_ENVELOPE = 1_024
#: The least that is left for the data; below twice that nothing can be asked.
_LEAST = 1_000

TEXT: Mapping[str, Any] = {"type": "string"}
TEXTS: Mapping[str, Any] = {"type": "array", "items": TEXT}


class BudgetTooSmallError(BadRequestError):
    """The model takes too little text to be asked about a session."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one request may hold.

    Attributes:
        max_input_tokens: what the model takes.
        margin: the share of it that is used, because tokens can only be estimated.
        max_output_tokens: what it may answer.
    """

    max_input_tokens: int
    margin: float = 0.8
    max_output_tokens: int = 32_000

    def room(self, *fixed: str) -> int:
        """Give the tokens that are left beside fixed texts and what a vendor puts around them.

        Raises:
            BudgetTooSmallError: hardly any are.
        """
        used = _ENVELOPE + sum(map(estimated_tokens, fixed))
        left = int(self.max_input_tokens * self.margin) - used
        if left < 2 * _LEAST:
            least = int((used + 2 * _LEAST) / self.margin) + 1
            raise BudgetTooSmallError(
                f"a request of at most {self.max_input_tokens:,} tokens is too small for this: {least:,} are the "
                "least, so use a model that takes more"
            )
        return left


def closed(**properties: Mapping[str, Any]) -> dict[str, Any]:
    """Give the schema of an object with exactly these keys."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
