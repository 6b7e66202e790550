import numpy as np

from trace_mm.datasets.degraded_masks import degrade_classes

BACKGROUND, CAT, DOG, VOID = 0, 1, 2, 255


def animals(size=128):
    """Class ids of a cat and a dog, with a void margin on the left."""
    rows, columns = np.indices((size, size)) * 128 / size
    ids = np.zeros((size, size), dtype=np.int32)
    ids[np.hypot(rows - 64, columns - 40) < 24] = CAT
    ids[np.hypot(rows - 64, columns - 96) < 24] = DOG
    ids[columns < 4] = VOID
    return ids


def test_masks_lose_their_rims_and_get_holes():
    ids = animals()
    areas = {CAT: [], DOG: []}
    holes = 0
    for index in range(20):
        degraded = degrade_classes(ids, BACKGROUND, seed=0, index=index)
        for number, found in areas.items():
            overlap = (degraded == number) & (ids == number)
            found.append((degraded == number).sum() / (ids == number).sum())
            assert 0.5 < overlap.sum() / ((degraded == number) | (ids == number)).sum() < 1
        core = np.hypot(*(np.indices(ids.shape) - np.array([64, 40])[:, None, None])) < 14
        holes += (degraded[core] == BACKGROUND).any()
    assert all(0.6 < np.mean(found) < 0.95 for found in areas.values())
    assert holes > 5


def test_void_stays_and_no_class_is_added():
    degraded = degrade_classes(animals(), BACKGROUND, seed=0, index=0)
    assert ((degraded == VOID) == (animals() == VOID)).all()
    assert set(np.unique(degraded)) == {BACKGROUND, CAT, DOG, VOID}


def test_an_image_and_a_seed_decide():
    first, again, other, series = (
        degrade_classes(animals(), BACKGROUND, seed, index)
        for seed, index in ((0, 3), (0, 3), (0, 4), (1, 3))
    )
    assert (first == again).all()
    assert (first != other).any() and (first != series).any()


def test_it_grows_with_the_image():
    small = degrade_classes(animals(128), BACKGROUND, 0, 7)
    large = degrade_classes(animals(512), BACKGROUND, 0, 7)[2::4, 2::4]
    assert (small == large).mean() > 0.95


def test_background_alone_stays():
    ids = np.zeros((32, 48), dtype=np.int32)
    assert not degrade_classes(ids, BACKGROUND, 0, 0).any()
