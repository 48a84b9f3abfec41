"""A small line chart as SVG: a logarithmic axis across, a linear one up, each curve named at its end (pure)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 900, 480
LEFT, TOP, RIGHT, BOTTOM = 60, 20, 350, 50
LABEL_PIXELS = 17
COLOURS = ("#1b6ca8", "#c0392b", "#27803b", "#8e44ad", "#b9770e", "#117a8b", "#7f4f24", "#566573", "#d6336c", "#5f7a00")


@dataclass(frozen=True, slots=True)
class Curve:
    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Scale:
    least: float
    greatest: float
    top: float

    def across(self, value: float) -> float:
        share = math.log10(value / self.least) / math.log10(self.greatest / self.least)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def up(self, value: float) -> float:
        return HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)


def plot(curves: Sequence[Curve], across: str, up: str) -> str:
    xs = [x for curve in curves for x, _ in curve.points]
    scale = _Scale(min(xs), max(xs), _round_up(max(y for curve in curves for _, y in curve.points)))
    parts = [*_axes(scale, sorted(set(xs)), across, up), *_curves(scale, curves)]
    style = 'font-family="sans-serif" font-size="12"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {style}>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _round_up(value: float) -> float:
    step = math.pow(10, math.floor(math.log10(value)))
    return math.ceil(value / step) * step


def _axes(scale: _Scale, ticks: Sequence[float], across: str, up: str) -> list[str]:
    parts = ['<rect width="100%" height="100%" fill="white"/>']
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for share in range(6):
        value = scale.top * share / 5
        y = scale.up(value)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    parts += [
        f'<text x="{scale.across(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{tick:,.0f}</text>'
        for tick in ticks
    ]
    parts.append(f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(across)}</text>')
    middle = (TOP + bottom) / 2
    parts.append(f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{escape(up)}</text>')
    return parts


def _curves(scale: _Scale, curves: Sequence[Curve]) -> list[str]:
    """Names stand in the order of the curves' ends, each on a line of its own."""
    parts: list[str] = []
    label = 0.0
    for at, curve in sorted(enumerate(curves), key=lambda each: -each[1].points[-1][1]):
        colour = COLOURS[at % len(COLOURS)]
        points = " ".join(f"{scale.across(x):.1f},{scale.up(y):.1f}" for x, y in curve.points)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = scale.across(curve.points[-1][0]), scale.up(curve.points[-1][1])
        label = max(label + LABEL_PIXELS, y)
        parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x + 14:.1f}" y2="{label - 4:.1f}" stroke="{colour}"/>')
        parts.append(f'<text x="{x + 18:.1f}" y="{label:.1f}" fill="{colour}">{escape(curve.name)}</text>')
    return parts
