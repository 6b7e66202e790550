import numpy as np
import pytest

from trace_mm.refinement.outlines import enclosures, follow_outlines, outline_scores


def square(low, high, side=40):
    mask = np.zeros((side, side), dtype=bool)
    mask[low:high, low:high] = True
    return mask


def outline(mask):
    inner = np.zeros_like(mask)
    inner[1:-1, 1:-1] = (
        mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    )
    return (mask & ~inner).astype(np.float32)


def test_a_mask_that_edges_surround_has_score_one():
    mask = square(10, 30)

    assert outline_scores(mask[None], outline(mask))[0] == pytest.approx(1)


def test_without_edges_the_score_is_zero():
    assert outline_scores(square(10, 30)[None], np.zeros((40, 40), np.float32))[0] == 0


def test_the_score_is_the_part_of_the_outline_that_has_edges():
    mask = square(10, 30)
    half = outline(mask)
    half[:, 20:] = 0

    assert outline_scores(mask[None], half)[0] == pytest.approx(0.5, abs=0.06)


def test_edges_inside_lower_the_score():
    mask = square(10, 30)
    edges = outline(mask)
    edges[:, 20] = 1

    crossed = outline_scores(mask[None], edges)[0]

    # Of the inside, 14 pixels wide, one column is an edge.
    assert crossed == pytest.approx(1 - 1 / 14, abs=0.01)


def test_what_is_empty_thin_or_all_of_the_image_has_score_zero():
    masks = np.stack([square(5, 5), square(0, 40), square(10, 12)])

    assert outline_scores(masks, np.ones((40, 40), np.float32)).tolist() == [0, 0, 0]
    assert outline_scores(masks[:0], np.ones((40, 40), np.float32)).shape == (0,)


@pytest.mark.parametrize("reach", [1, 3])
def test_an_outline_that_runs_close_to_the_sources_is_taken_over(reach):
    source = square(10, 30)

    for rough in (square(10 - reach, 30 + reach), square(10 + reach, 30 - reach)):
        np.testing.assert_array_equal(follow_outlines(rough[None], source[None], reach)[0], source)


def test_an_outline_that_is_far_from_the_sources_stays():
    mask, source = square(10, 30), square(3, 37)

    np.testing.assert_array_equal(follow_outlines(mask[None], source[None], 1)[0], mask)


def test_where_the_source_goes_on_the_outline_stays():
    mask = square(0, 40)
    mask[:, 20:] = False
    source = square(0, 40)

    np.testing.assert_array_equal(follow_outlines(mask[None], source[None], 2)[0], mask)


def test_edges_enclose_a_mask_along_the_share_of_its_outline_that_they_are_beside():
    mask = square(10, 30)
    half = outline(mask)
    half[:, 20:] = 0
    masks = np.stack([mask, np.roll(mask, 9, axis=0), np.zeros_like(mask), np.ones_like(mask)])

    whole = enclosures(masks, outline(mask), 2)

    assert whole[0] == 1 and whole[1] < 0.5 and whole[2:].tolist() == [0, 0]
    assert enclosures(mask[None], half, 2)[0] == pytest.approx(0.5, abs=0.1)
    assert enclosures(mask[None], outline(mask) * np.float32(0.5), 2)[0] == pytest.approx(0.5)


def test_the_border_of_the_image_is_no_outline():
    mask = np.zeros((40, 40), dtype=bool)
    mask[:15, :15] = True
    line = np.zeros((40, 40), np.float32)
    line[15, :16] = line[:16, 15] = 1

    assert enclosures(mask[None], line, 1)[0] == 1
