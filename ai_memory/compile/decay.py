"""Decay: what a page still weighs, from its age, from how often it is read, and from what readers said of it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decay:
    """How weight is lost (the settings `decay.*`).

    Attributes:
        age_rate: loss by age, per day (lambda).
        use: gain by reading (sigma).
        use_rate: loss of that gain, per day (mu).
        cold: what weighs less is forgotten.
    """

    age_rate: float
    use: float
    use_rate: float
    cold: float

    def retention(self, age_days: float, reads: int = 0, days_since_read: float = 0.0, salience: float = 1.0) -> float:
        """Give a page's weight: its salience when it is new, plus what reading it has added.

        Args:
            age_days, days_since_read: in days; a negative one is none.
            reads: how often it was read.
            salience: how much it matters by what readers said of it.
        """
        weight = salience * math.exp(-self.age_rate * max(age_days, 0.0))
        if reads:
            weight += self.use * math.log1p(reads) * math.exp(-self.use_rate * max(days_since_read, 0.0))
        return weight

    def is_cold(self, retention: float) -> bool:
        """Tell whether a page of this weight is to be forgotten."""
        return retention < self.cold
