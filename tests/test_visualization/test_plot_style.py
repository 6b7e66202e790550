"""Where figures may be written."""

import pytest

from trace_mm.visualization.plot_style import check_figure


def test_figures_are_not_written_onto_what_they_show(tmp_path):
    (tmp_path / "edges").mkdir()
    photo = tmp_path / "photo.png"
    photo.touch()
    assert check_figure(str(tmp_path / "new" / "figure.svg"), read=[photo, None]).suffix == ".svg"
    assert not (tmp_path / "new").exists()
    with pytest.raises(ValueError, match=r"photo\.png, which is read"):
        check_figure(photo, read=[photo])
    with pytest.raises(ValueError, match=r"lies in .*edges, which is read"):
        check_figure(tmp_path / "edges" / "figure.png", searched=[tmp_path / "edges"])
    with pytest.raises(ValueError, match=r"a figure ends in"):
        check_figure(tmp_path / "figure.jpg")
    with pytest.raises(NotADirectoryError, match=r"photo\.png"):
        check_figure(photo / "figure.png")
