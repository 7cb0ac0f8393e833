"""What tokens cost: a table that is shipped, and rows of a person's own."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ai_memory.errors import ConfigError

#: provider -> model, or "*" for every other -> dollars for a million tokens in, and out.
Prices = Mapping[str, Mapping[str, tuple[float, float]]]

_MILLION = 1_000_000
_VERSION = re.compile(r"-(?:\d{8}|\d{4}-\d\d-\d\d|\d{3}|latest)$")


def cost(provider: str, model: str, tokens_in: int, tokens_out: int, prices: Prices | None = None) -> float | None:
    """Estimate what a call cost, in dollars; None where no row says it.

    Args:
        provider, model: who answered; a dated version of a model costs what the model does.
        tokens_in, tokens_out: as the vendor counted them.
        prices: as `prices_of` gives them; None: the shipped ones.
    """
    rows = (_shipped() if prices is None else prices).get(provider, {})
    row = rows.get(model) or rows.get(_VERSION.sub("", model)) or rows.get("*")
    return None if row is None else (tokens_in * row[0] + tokens_out * row[1]) / _MILLION


def prices_of(data_dir: Path) -> Prices:
    """Read the table: the rows of `<data_dir>/prices.toml`, then the shipped ones.

    Raises:
        ConfigError: the file says something else than prices.
    """
    file = data_dir / "prices.toml"
    try:
        own = _table(tomllib.loads(file.read_text("utf-8-sig")))
    except FileNotFoundError:
        return _shipped()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{file} is no table of prices: {error}") from error
    shipped = _shipped()
    return {provider: {**shipped.get(provider, {}), **own.get(provider, {})} for provider in {**shipped, **own}}


@cache
def _shipped() -> Prices:
    return MappingProxyType(_table(tomllib.loads(Path(__file__).with_name("prices.toml").read_text("utf-8"))))


def _table(said: Mapping[str, Any]) -> dict[str, Mapping[str, tuple[float, float]]]:
    table: dict[str, Mapping[str, tuple[float, float]]] = {}
    for provider, rows in said.items():
        if not isinstance(rows, dict):
            raise ValueError(f"{provider} stands outside of a [provider]")  # noqa: TRY004 - a fault of the file
        table[provider] = {model: _row(f"[{provider}] {model!r}", row) for model, row in rows.items()}
    return table


def _row(place: str, row: Any) -> tuple[float, float]:
    right = isinstance(row, list) and len(row) == 2
    if not right or not all(type(price) in (int, float) and 0 <= price < math.inf for price in row):
        raise ValueError(
            f"{place} has to be dollars for a million tokens in and out, for example [1.0, 5.0], not {row!r}"
        )
    return float(row[0]), float(row[1])
