"""A row of small line charts as SVG, written by hand: readable in light and dark pages, no library needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

PANEL, HEIGHT, GAP, LEFT, TOP = 208, 210, 16, 46, 64
INK, FAINT, PAPER = "#334155", "#cbd5e1", "#ffffff"


@dataclass(frozen=True, slots=True)
class Series:
    """One curve, or one lone point where ``mark`` is set.

    :param points: ``(x, y)`` in the chart's units.
    """

    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    dashes: str = ""
    mark: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart of the row."""

    title: str
    series: Sequence[Series]


def row_of_charts(
    panels: Sequence[Panel], *, x_label: str, y_label: str, x_ticks: Sequence[float], y_ticks: Sequence[float]
) -> str:
    """The SVG text: panels side by side on the same scales, with one legend."""
    width = LEFT + len(panels) * (PANEL + GAP) + 4
    height = TOP + HEIGHT + 44
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    style = f'font-family="system-ui, sans-serif" font-size="12" fill="{INK}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style} role="img">',
        f"<title>{escape(y_label)} against {escape(x_label)}</title>",
        f'<rect width="{width}" height="{height}" rx="6" fill="{PAPER}"/>',
    ]
    parts += _legend(panels[0].series)
    parts.append(
        f'<text transform="translate(14 {TOP + HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>"
    )
    parts.append(
        f'<text x="{(width + LEFT) / 2}" y="{height - 8}" text-anchor="middle">{escape(x_label)}</text>'
    )
    for number, panel in enumerate(panels):
        parts += _panel(panel, LEFT + number * (PANEL + GAP), x_ticks, y_ticks, numbered=number == 0)
    return "\n".join([*parts, "</svg>", ""])


def _legend(series: Sequence[Series]) -> list[str]:
    parts, x = [], LEFT
    for each in series:
        sign = (
            f'<circle cx="{x + 9}" cy="20" r="4.5" fill="{each.colour}"/>'
            if each.mark
            else f'<line x1="{x}" y1="20" x2="{x + 18}" y2="20" stroke="{each.colour}" stroke-width="2" '
            f'stroke-dasharray="{each.dashes}"/>'
        )
        parts += [sign, f'<text x="{x + 24}" y="24">{escape(each.name)}</text>']
        x += 44 + 7 * len(each.name)
    return parts


def _panel(
    panel: Panel, left: float, x_ticks: Sequence[float], y_ticks: Sequence[float], *, numbered: bool
) -> list[str]:
    def across(x: float) -> float:
        return left + PANEL * (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])

    def down(y: float) -> float:
        return TOP + HEIGHT * (y_ticks[-1] - y) / (y_ticks[-1] - y_ticks[0])

    parts = [f'<text x="{left + PANEL / 2}" y="{TOP - 10}" text-anchor="middle">{escape(panel.title)}</text>']
    for y in y_ticks:
        parts.append(f'<path d="M{left} {down(y):.1f}h{PANEL}" stroke="{FAINT}"/>')
        if numbered:
            parts.append(f'<text x="{left - 6}" y="{down(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
    parts += [
        f'<text x="{across(x):.1f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{x:g}</text>'
        for x in x_ticks
    ]
    for each in panel.series:
        shown = [
            f"{across(x):.1f},{down(y):.1f}"
            for x, y in each.points
            if x_ticks[0] <= x <= x_ticks[-1] and y_ticks[0] <= y <= y_ticks[-1]
        ]
        if each.mark:
            parts += [
                f'<circle cx="{point.split(",")[0]}" cy="{point.split(",")[1]}" r="5" fill="{each.colour}" '
                f'stroke="{PAPER}" stroke-width="1.5"/>'
                for point in shown
            ]
        else:
            parts.append(
                f'<polyline points="{" ".join(shown)}" fill="none" stroke="{each.colour}" stroke-width="2" '
                f'stroke-dasharray="{each.dashes}"/>'
            )
    return parts
