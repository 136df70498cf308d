"""Lesion volume over time as an inline SVG: a line a model version, a mark an attack."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from lesion_dynamics.report.scan_pages.text import number

_WIDTH, _HEIGHT = 480, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 26, 40
_DAYS_PER_YEAR = 365.25
_TICKS = 4
_DASHES = ("", "7 4", "2 4", "9 3 2 3")


@dataclass(frozen=True, slots=True)
class Series:
    """Volumes (mm³) of one model version at days from baseline; NaN: failed or unknown."""

    name: str
    days: tuple[float, ...]
    volumes: tuple[float, ...]


def volume_chart(series: Sequence[Series], attacks: Sequence[float]) -> str:
    """An SVG that follows the page's colours; "" where no session has a day and a volume."""
    points = [_measured(one) for one in series]
    days = [day for line in points for day, _ in line]
    if not days:
        return ""
    shown = [day for day in attacks if math.isfinite(day) and min(days) <= day <= max(days)]
    first, last = min(days), max(days)
    step = _nice(max(volume for line in points for _, volume in line) / _TICKS)
    top = step * math.ceil(max(v for line in points for _, v in line) / step or 1)

    def x(day: float) -> float:
        inside = _WIDTH - _LEFT - _RIGHT
        return _LEFT + inside * ((day - first) / (last - first) if last > first else 0.5)

    def y(volume: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * volume / top

    parts = [_axes(x, y, first=first, last=last, step=step, top=top)]
    parts += [_attack(x(day), day) for day in shown]
    for index, (one, line) in enumerate(zip(series, points, strict=True)):
        parts.append(_line(one.name, [(x(d), y(v)) for d, v in line], line, index))
    said = _said(series, points, shown)
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(said)}"><title>{escape(said)}</title>{"".join(parts)}</svg>'
    )


def _measured(series: Series) -> list[tuple[float, float]]:
    pairs = zip(series.days, series.volumes, strict=True)
    return sorted((d, v) for d, v in pairs if math.isfinite(d) and math.isfinite(v))


def _nice(rough: float) -> float:
    """A step of 1, 2, 2.5 or 5 times a power of ten, not below ``rough``."""
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)


def _axes(
    x: Callable[[float], float],
    y: Callable[[float], float],
    *,
    first: float,
    last: float,
    step: float,
    top: float,
) -> str:
    parts = []
    for tick in range(round(top / step) + 1):
        height = y(tick * step)
        parts.append(
            f'<line class="rule" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{height:.1f}" '
            f'y2="{height:.1f}"/><text x="{_LEFT - 6}" y="{height + 4:.1f}" '
            f'text-anchor="end">{number(tick * step)}</text>'
        )
    years = _nice(max((last - first) / _DAYS_PER_YEAR / 5, 0.05))
    tick = 0
    while tick * years * _DAYS_PER_YEAR <= last - first + 1:
        place = x(first + tick * years * _DAYS_PER_YEAR)
        parts.append(
            f'<text x="{place:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">'
            f"{tick * years:g}</text>"
        )
        tick += 1
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">'
        "years from the first session</text>"
        '<text x="6" y="14">lesion volume, mm³</text>'
    )
    return "".join(parts)


def _attack(place: float, day: float) -> str:
    base = _HEIGHT - _BOTTOM
    return (
        f'<g class="attack"><title>attack on day {number(day)}</title>'
        f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{_TOP}" y2="{base}"/>'
        f'<path d="M{place - 5:.1f} {_TOP - 8} h10 l-5 9 z"/></g>'
    )


def _line(
    name: str, places: list[tuple[float, float]], values: list[tuple[float, float]], index: int
) -> str:
    dash = _DASHES[index % len(_DASHES)]
    path = " ".join(f"{'L' if i else 'M'}{px:.1f} {py:.1f}" for i, (px, py) in enumerate(places))
    dots = "".join(
        f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4"><title>{escape(name)}, day {number(day)}: '
        f"{number(volume)} mm³</title></circle>"
        for (px, py), (day, volume) in zip(places, values, strict=True)
    )
    return (
        f'<g class="series series-{index % 4}"><path d="{path}" fill="none" '
        f'stroke-dasharray="{dash}"/>{dots}</g>'
    )


def _said(
    series: Sequence[Series],
    points: Sequence[list[tuple[float, float]]],
    attacks: Sequence[float],
) -> str:
    lines = [
        f"{one.name}: " + ", ".join(f"{number(v)} mm³ on day {number(d)}" for d, v in line)
        for one, line in zip(series, points, strict=True)
        if line
    ]
    marked = f"attacks on days {', '.join(map(number, attacks))}" if attacks else "no attack marked"
    return f"Lesion volume over time. {'; '.join(lines)}; {marked}."
