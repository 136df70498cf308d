"""An estimate: a statistic with its interval, its test and what to know about them."""

from __future__ import annotations

from dataclasses import dataclass, replace

NOT_A_NUMBER = float("nan")
MINIMUM_PARTICIPANTS = 3
"""Below it no test and no interval: two changes cannot tell a shift from chance."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One row of ``statistics.tsv`` without its keys.

    What could not be computed is NaN, and ``note`` says why.

    n : participants that entered.
    zero_method : of the signed-rank test; empty for every other statistic.
    """

    estimate: float = NOT_A_NUMBER
    n: int = 0
    lower_quartile: float = NOT_A_NUMBER
    upper_quartile: float = NOT_A_NUMBER
    interval_low: float = NOT_A_NUMBER
    interval_high: float = NOT_A_NUMBER
    interval_level: float = NOT_A_NUMBER
    interval_method: str = ""
    p_value: float = NOT_A_NUMBER
    test: str = ""
    zero_method: str = ""
    note: str = ""

    def noted(self, note: str) -> Estimate:
        """The same estimate with one more remark."""
        return replace(self, note="; ".join(part for part in (self.note, note) if part))

    def with_interval(self, low: float, high: float, *, level: float, method: str) -> Estimate:
        """The same estimate with an interval."""
        return replace(
            self,
            interval_low=low,
            interval_high=high,
            interval_level=level,
            interval_method=method,
        )


def too_few(n: int) -> str:
    """The note of an estimate from too few participants."""
    count = {0: "no participant", 1: "1 participant"}.get(n, f"{n} participants")
    return f"{count}: at least {MINIMUM_PARTICIPANTS} are needed for a test or an interval"
