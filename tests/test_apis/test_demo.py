import pytest

from trace_mm.apis.demo import demo_scenes, shown_timesteps


@pytest.mark.parametrize(
    ("timesteps", "chosen", "expected"),
    [
        (range(0, 1000, 100), 300, [0, 200, 300, 500, 700, 900]),
        (range(0, 1000, 100), 0, [0, 100, 300, 500, 700, 900]),
        ([0, 100], 100, [0, 100]),
        ([0, 100, 200], 250, [0, 100, 200, 250]),
        ([], 50, [50]),
    ],
)
def test_shown_timesteps(timesteps, chosen, expected):
    assert shown_timesteps(list(timesteps), chosen) == expected


def test_scenes_know_their_borders():
    scenes = demo_scenes()
    assert len({scene.name for scene in scenes}) == 6
    for scene in scenes:
        assert scene.borders.shape == scene.image.shape[:2]
        assert scene.borders.any()
