import re
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from tests.tiny_students import build, shake
from tests.tiny_towers import save_clip
from trace_mm.apis import TraceInferencer, expand_inputs
from trace_mm.demo.report import (
    demo_photos,
    demo_scenes,
    shown_timesteps,
    teacher_of,
    write_demo,
)
from trace_mm.models import save_student
from trace_mm.publish.export import export_student

OPTIONS = {"device": "cpu", "show_progress": False}


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def checkpoint(flow_folder, tmp_path_factory):
    return save_student(shake(build(flow_folder)), tmp_path_factory.mktemp("work"))


def _page(inferencer, photo, out):
    return write_demo(inferencer, expand_inputs(photo), out).read_text(encoding="utf-8")


def test_a_student_stands_beside_its_teacher(flow_folder, checkpoint, photo, tmp_path):
    student = TraceInferencer(checkpoint, "student", backbone=flow_folder, seed=3, **OPTIONS)
    teacher = teacher_of(student)
    assert (teacher.method, teacher.model.seed) == ("teacher", 3)
    plain = TraceInferencer(flow_folder, "teacher", seed=3, **OPTIONS)
    assert teacher.settings() == plain.settings()
    page = _page(student, photo, tmp_path)
    assert page.count("<svg") == 1 and page.count("t* = ") >= 2
    for caption in ("Before: the teacher’s edges", "After: the student’s edges"):
        assert page.count(f"<figcaption>{caption}<") == 1
    assert "student, one pass at t = 1, " in page and "teacher at t* = " in page
    assert "How much attention changes (teacher)" in page and "4. Learn it" in page
    assert f"student {student.settings()['student.content']}" in page
    edges = student(photo)["predictions"][0]["edges"]
    written = np.asarray(Image.open(tmp_path / "edges/photo.png"))
    np.testing.assert_array_equal(written, np.rint(edges * 255))


def test_the_search_gives_the_attention_that_is_shown(flow_folder, photo, tmp_path, monkeypatch):
    """A teacher makes each pass once: what is shown was kept, and is the same as made anew."""
    teacher = TraceInferencer(flow_folder, "teacher", seed=3, **OPTIONS)
    teacher.model.timesteps = [100, 300, 500]
    asked, made = [], teacher.model.attention_maps

    def counted(image, timesteps=None, sample=None):
        asked.append(timesteps)
        return made(image, timesteps, sample)

    monkeypatch.setattr(teacher.model, "attention_maps", counted)
    once = _pictures(_page(teacher, photo, tmp_path / "once"))
    assert asked == [None] and teacher.model.watch is None
    monkeypatch.setattr("trace_mm.demo.report.ATTENTION_MAPS", 2)  # a search of more is not kept
    monkeypatch.setattr("trace_mm.demo.report.shown_timesteps", lambda steps, chosen: steps)
    assert _pictures(_page(teacher, photo, tmp_path / "twice")) == once
    assert asked[1:] == [None, [100, 300, 500]]


def _pictures(page):
    return re.findall(r'id="map-0-\d".*?src="([^"]+)"', page)


def test_a_merged_student_has_no_teacher(flow_folder, checkpoint, photo, tmp_path):
    merged = export_student(checkpoint, tmp_path / "merged", merge=True, backbone=flow_folder)
    page = _page(TraceInferencer(merged, "student", **OPTIONS), photo, tmp_path / "out")
    assert "<svg" not in page and "Without the teacher" in page
    assert "Before:" not in page and "<figcaption>The student’s edges<" in page
    assert 'class="inside' not in page


def test_a_model_without_timesteps(photo, tmp_path):
    folder = save_clip(tmp_path / "clip")
    page = _page(TraceInferencer(backbone=folder, **OPTIONS), photo, tmp_path / "out")
    assert "<svg" not in page and "<figcaption>Edges of its attention<" in page
    assert "clip is no diffusion model" in page and "Noise is added" not in page
    assert "student" not in page


def test_a_teacher_alone(flow_folder, photo, tmp_path):
    page = _page(TraceInferencer(flow_folder, "teacher", **OPTIONS), photo, tmp_path)
    assert "student" not in page
    assert page.count("<svg") == 1 and "<figcaption>The teacher’s edges<" in page


def test_a_detector_has_no_inside(photo, tmp_path):
    page = _page(TraceInferencer({"type": "SobelDetector"}, **OPTIONS), photo, tmp_path)
    assert "<svg" not in page and "Edges are those of SobelDetector" in page


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
    assert len({scene.name for scene in scenes}) == 3
    for scene in scenes:
        assert scene.borders.shape == scene.image.shape[:2]
        assert scene.borders.any()


def test_images_are_not_written_onto(tmp_path, photo):
    sobel = TraceInferencer({"type": "SobelDetector"}, show_progress=False)
    own = tmp_path / "overlay" / "a.png"
    own.parent.mkdir()
    own.write_bytes(photo.read_bytes())
    with pytest.raises(ValueError, match=r"a\.png, which is read, lies in .*overlay"):
        _page(sobel, own, tmp_path)
    with pytest.raises(NotADirectoryError, match=r"photo\.png"):
        _page(sobel, photo, photo / "out")
    assert own.read_bytes() == photo.read_bytes()


def test_photos_of_the_package_are_shown_with_their_licence(tmp_path):
    photos = demo_photos()
    sobel = TraceInferencer({"type": "SobelDetector"}, show_progress=False)
    page = write_demo(sobel, demo_scenes()[:1], tmp_path, [(sobel, photos)]).read_text("utf-8")
    assert [photo.name for photo in photos] == ["coffee", "citrus-fruits"]
    assert page.count("<article") == 3
    notes = (files("trace_mm.demo") / "photos/README.md").read_text("utf-8")
    for photo in photos:
        assert f"<span>{photo.credit}</span>" in page
        assert f"`{photo.name}.jpg`" in notes
        assert max(photo.image.size) == 480
        assert (tmp_path / f"overlay/{photo.name}.png").is_file()
    assert page.index("scene_1") < page.index("coffee")
    assert "What next" in page and "trace-mm segment photos/" in page
