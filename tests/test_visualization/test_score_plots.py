import numpy as np
import pytest

from trace_mm.visualization.score_plots import (
    PrecisionRecall,
    plot_precision_recall,
    plot_scores,
    plot_timestep_histogram,
)


def curve(figure, label):
    (axes,) = figure.axes
    return next(line for line in axes.lines if label in str(line.get_label()))


def test_scores_are_means_over_the_highest_mean():
    scores = {"kl": [[1.0, 4.0], [3.0, 6.0]], "l2": [[2e-8, 1e-8]] * 2}
    figure = plot_scores([100, 200], scores)
    line = curve(figure, "KL, peak at t = 200")
    np.testing.assert_allclose(line.get_xydata(), [[100, 0.4], [200, 1.0]])
    line = curve(figure, "L2, peak at t = 100")
    np.testing.assert_allclose(line.get_xydata(), [[100, 1.0], [200, 0.5]])
    (axes,) = figure.axes
    corners = axes.collections[0].get_paths()[0].vertices
    for corner in ((100, 0.3), (100, 0.5), (200, 0.9), (200, 1.1)):  # quartiles of 1, 3 and of 4, 6
        assert np.isclose(corners, corner).all(axis=1).any()
    assert "2 images" in axes.get_title(loc="left")


def test_scores_that_do_not_fit():
    with pytest.raises(ValueError, match=r"kl must be \(images, 3"):
        plot_scores([100, 200, 300], {"kl": [[1.0, 2.0]]})
    with pytest.raises(ValueError, match="finite"):
        plot_scores([100], {"kl": [[np.nan]]})
    with pytest.raises(ValueError, match="same images"):
        plot_scores([100], {"kl": [[1.0]], "js": [[1.0], [2.0]]})
    with pytest.raises(ValueError, match="same images, got none"):
        plot_scores([100], {})


def test_histogram_counts_in_percent():
    figure = plot_timestep_histogram([100, 200, 300], {"kl": [200, 200, 100, 200], "js": [300] * 4})
    (axes,) = figure.axes
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == [25, 75, 0, 0, 0, 100]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["KL", "Jensen-Shannon"]
    for chosen, message in (({"kl": [150]}, "150, which is none"), ({"kl": []}, "no image")):
        with pytest.raises(ValueError, match=message):
            plot_timestep_histogram([100, 200], chosen)


def test_curves_pass_through_their_points():
    worse = PrecisionRecall([0.2, 0.4], [0.8, 0.3], (0.4, 0.3, 0.34))
    better = PrecisionRecall([0.5, 0.9, 0.0], [0.9, 0.5, 0.0], (0.7, 0.7, 0.7))
    figure = plot_precision_recall({"worse": worse, "better": better})
    (axes,) = figure.axes
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["0.700  better", "0.340  worse"]
    assert curve(figure, "0.340").get_xydata().tolist() == [[0.3, 0.4]]
    lines = [line.get_xydata().tolist() for line in axes.lines]
    assert [[0.5, 0.9], [0.9, 0.5]] in lines  # by recall, without the threshold that finds nothing
    recall, precision = np.array(lines[6]).T  # of F = 0.7
    np.testing.assert_allclose(2 * precision * recall / (precision + recall), 0.7)
    with pytest.raises(ValueError, match="no curve"):
        plot_precision_recall({})
