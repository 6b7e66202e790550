import xml.etree.ElementTree as ElementTree

import pytest

from trace_mm.visualization import draw_score_curve


def _points(svg):
    line = ElementTree.fromstring(svg).find("polyline")
    return [tuple(map(float, point.split(","))) for point in line.get("points").split()]


def test_curve_is_well_formed_and_true():
    scores = {300: 0.1, 100: 0.4, 200: 0.2}
    svg = draw_score_curve(scores, 100, "a < b")
    points = _points(svg)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert points[0][1] < points[1][1] < points[2][1]  # SVG counts downwards
    assert "t* = 100" in svg
    assert "a &lt; b" in svg


@pytest.mark.parametrize(
    "scores", [{100: 0.0}, {100: 1e-9, 200: 3e-9}, {t: t * 1e6 for t in range(100, 1000, 20)}]
)
def test_any_range_stays_inside(scores):
    svg = draw_score_curve(scores, 100, "t")
    assert all(0 <= x <= 460 and 0 <= y <= 250 for x, y in _points(svg))


def test_fixed_timestep_has_no_curve():
    text = draw_score_curve({}, 250, "t")
    assert "<svg" not in text
    assert "t = 250" in text


def test_infinite_scores_are_left_out():
    assert len(_points(draw_score_curve({100: float("inf"), 200: 1.0}, 200, "t"))) == 1


def test_small_scores_are_written_in_powers_of_ten():
    svg = draw_score_curve({100: 1e-4, 200: 2e-4}, 200, "t")
    assert "score (×10⁻⁴)" in svg
    assert ">1.5</text>" in svg
    assert "score</text>" in draw_score_curve({100: 0.1, 200: 0.2}, 200, "t")
