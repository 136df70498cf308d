"""A chart as plain data: places in pixels and texts, drawn as inline SVG by a template."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_STEPS = (1, 2, 5)
_LOG_TICKS = (0, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000)


@dataclass(frozen=True)
class Who:
    """The participant that a mark belongs to; filters and hovering go by it."""

    participant: str
    diagnosis: str
    scanner: str


@dataclass(frozen=True)
class Mark:
    """A point. shape : circle, triangle or square. label : said when it is hovered."""

    x: float
    y: float
    css: str
    label: str
    who: Who | None = None
    shape: str = "circle"
    size: float = 4.5


@dataclass(frozen=True)
class Line:
    """A line through places; ``label`` is empty where nothing is to be said."""

    places: tuple[tuple[float, float], ...]
    css: str
    who: Who | None = None
    label: str = ""

    @property
    def path(self) -> str:
        """For the ``points`` of a polyline."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.places)


@dataclass(frozen=True)
class Words:
    """Text at a place. anchor : start, middle or end."""

    x: float
    y: float
    text: str
    anchor: str = "middle"
    css: str = ""


@dataclass(frozen=True)
class Scale:
    """Values to pixels; with ``linear_within`` linear about zero and logarithmic beyond."""

    low: float
    high: float
    start: float
    end: float
    linear_within: float | None = None

    def __call__(self, value: float) -> float:
        """The pixel of ``value``."""
        low, high, at = self._bent(self.low), self._bent(self.high), self._bent(value)
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def _bent(self, value: float) -> float:
        return math.asinh(value / self.linear_within) if self.linear_within else value

    def ticks(self) -> list[tuple[float, str]]:
        """Pixels and texts of round numbers inside the scale."""
        if self.linear_within:
            both = sorted({sign * tick for tick in _LOG_TICKS for sign in (-1, 1)})
            values = [float(tick) for tick in both if self.low <= tick <= self.high]
            values = _apart(values, self, 26.0)
        else:
            values = round_numbers(self.low, self.high)
        return [(self(value), tick_text(value)) for value in values]


@dataclass
class Panel:
    """One chart. key : its id on the page. diagnosis : whom the filter hides it with."""

    key: str
    title: str
    description: str
    width: float = 460
    height: float = 340
    left: float = 84
    right: float = 12
    top: float = 14
    bottom: float = 46
    x_label: str = ""
    y_label: str = ""
    diagnosis: str = ""
    x_ticks: list[tuple[float, str]] = field(default_factory=list)
    y_ticks: list[tuple[float, str]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)

    @property
    def plot_right(self) -> float:
        """Right border of the plot, pixels."""
        return self.width - self.right

    @property
    def plot_bottom(self) -> float:
        """Lower border of the plot, pixels."""
        return self.height - self.bottom

    def x_scale(self, low: float, high: float, within: float | None = None) -> Scale:
        """A scale along the plot's width."""
        return Scale(low, high, self.left, self.plot_right, within)

    def y_scale(self, low: float, high: float, within: float | None = None) -> Scale:
        """A scale up the plot's height."""
        return Scale(low, high, self.plot_bottom, self.top, within)

    def across(self, y: float, css: str, label: str = "") -> None:
        """A level line through the plot."""
        self.lines.append(Line(((self.left, y), (self.plot_right, y)), css, label=label))

    def upright(self, x: float, css: str, label: str = "") -> None:
        """A vertical line through the plot."""
        self.lines.append(Line(((x, self.top), (x, self.plot_bottom)), css, label=label))

    def say_empty(self, text: str) -> None:
        """A word in the middle of an empty plot."""
        middle = (self.left + self.plot_right) / 2, (self.top + self.plot_bottom) / 2
        self.words.append(Words(*middle, text, css="empty"))


def reach(
    values: Iterable[float], *, least: tuple[float, float] = (0.0, 0.0)
) -> tuple[float, float]:
    """Lowest and highest of the finite values and ``least``."""
    known = [float(value) for value in values if math.isfinite(float(value))]
    return min([least[0], *known]), max([least[1], *known])


def round_numbers(low: float, high: float, *, about: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten inside [low, high]."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((s * power for s in _STEPS if s * power >= raw), 10 * power)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_text(value: float) -> str:
    """``1,000``, ``0.5``, ``−30``."""
    text = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"
    return text.replace("-", "−")


def _apart(values: Sequence[float], scale: Scale, pixels: float) -> list[float]:
    """Those of the values that stand apart, from zero outwards."""
    kept: list[float] = []
    for value in sorted(values, key=abs):
        if all(abs(scale(value) - scale(other)) >= pixels for other in kept):
            kept.append(value)
    return sorted(kept)
