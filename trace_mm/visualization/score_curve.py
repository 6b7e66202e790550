"""The emergence score over the timesteps as an SVG drawing (paper Eq. 1, Fig. 7)."""

import math
from collections.abc import Mapping

WIDTH, HEIGHT = 460, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 16, 30, 46


def draw_score_curve(scores: Mapping[int, float], timestep: int | None, title: str) -> str:
    """Draw the score of each timestep, with the chosen one marked.

    Colours are the CSS variables ``--ink``, ``--muted``, ``--line`` and ``--accent`` of the page
    that the drawing is put in.

    Args:
        scores: score by timestep; scores that are not finite are left out.
        timestep: the chosen one, t*.
        title: what a screen reader says.

    Returns:
        An ``<svg>`` element, or a paragraph that says that there was no search.
    """
    points = sorted((step, score) for step, score in scores.items() if math.isfinite(score))
    if not points:
        return (
            f'<p class="note">Read at the fixed timestep t = {timestep}: no search, no curve.</p>'
        )
    first, last = points[0][0], points[-1][0]
    highest = max(score for _, score in points)
    ticks, exponent = _ticks(highest), _exponent(highest)

    def x(step: float) -> float:
        share = 0.5 if first == last else (step - first) / (last - first)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(score: float) -> float:
        return HEIGHT - _BOTTOM - max(score, 0.0) / ticks[-1] * (HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{_escape(title)}</title>",
        *(_value_tick(y(value), value / 10.0**exponent) for value in ticks),
        *(_step_tick(x(step), step) for step, _ in _thinned(points)),
        f'<text class="axis" x="{(_LEFT + WIDTH - _RIGHT) / 2}" y="{HEIGHT - 6}" '
        f'text-anchor="middle">timestep t (more noise →)</text>',
        f'<text class="axis" transform="translate(13 {(_TOP + HEIGHT - _BOTTOM) / 2}) rotate(-90)" '
        f'text-anchor="middle">score{_power(exponent)}</text>',
        '<polyline fill="none" stroke="var(--ink)" stroke-width="2" stroke-linejoin="round" '
        f'points="{" ".join(f"{x(step):.1f},{y(score):.1f}" for step, score in points)}"/>',
        *(
            f'<circle cx="{x(step):.1f}" cy="{y(score):.1f}" r="3" fill="var(--ink)"/>'
            for step, score in points
        ),
    ]
    chosen = dict(points).get(timestep) if timestep is not None else None
    if timestep is not None and chosen is not None:
        parts.append(_mark(x(timestep), y(chosen), timestep))
    return "\n".join([*parts, "</svg>"])


def _ticks(highest: float, most: int = 4) -> list[float]:
    """Round values from 0 up to at least ``highest``."""
    if highest <= 0:
        return [0.0, 1.0]
    raw = highest / most
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw)
    return [index * step for index in range(math.ceil(highest / step - 1e-9) + 1)]


def _exponent(highest: float) -> int:
    """The power of ten that tick labels are written in; 0 where they are short without one."""
    return 0 if highest <= 0 or 0.01 <= highest < 10_000 else math.floor(math.log10(highest))


def _power(exponent: int) -> str:
    raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f" (×10{raised})" if exponent else ""


def _thinned(points: list[tuple[int, float]], most: int = 10) -> list[tuple[int, float]]:
    return points[:: math.ceil(len(points) / most)]


def _value_tick(y: float, value: float) -> str:
    return (
        f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
        f'stroke="var(--line)"/><text class="tick" x="{_LEFT - 7}" y="{y + 4:.1f}" '
        f'text-anchor="end">{value:.3g}</text>'
    )


def _step_tick(x: float, step: int) -> str:
    return (
        f'<text class="tick" x="{x:.1f}" y="{HEIGHT - _BOTTOM + 17}" '
        f'text-anchor="middle">{step}</text>'
    )


def _mark(x: float, y: float, timestep: int) -> str:
    side, shift = ("end", -8) if x > WIDTH * 0.7 else ("start", 8)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 6}" y2="{HEIGHT - _BOTTOM}" '
        f'stroke="var(--accent)" stroke-width="1.5" stroke-dasharray="4 4"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="var(--accent)"/>'
        f'<text class="mark" x="{x + shift:.1f}" y="{_TOP - 12}" text-anchor="{side}">'
        f"t* = {timestep}</text>"
    )


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
