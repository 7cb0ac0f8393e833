"""Decay: what a page still weighs, from its age and from how often it is read."""

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

    def retention(self, age_days: float, reads: int = 0, days_since_read: float = 0.0) -> float:
        """Give a page's weight: 1 when it is new, plus what reading it has added; times in days, not negative."""
        weight = math.exp(-self.age_rate * max(age_days, 0.0))
        if reads:
            weight += self.use * math.log1p(reads) * math.exp(-self.use_rate * max(days_since_read, 0.0))
        return weight

    def is_cold(self, retention: float) -> bool:
        """Tell whether a page of this weight is to be forgotten."""
        return retention < self.cold
