"""``trace-mm demo``: what it writes and says."""

import re

from PIL import Image

from trace_mm.cli import main


def test_demo(flow_folder, photos, tmp_path, capsys):
    Image.new("RGB", (1, 300), (9, 99, 200)).save(photos / "thin.png")
    out = tmp_path / "demo"
    arguments = ["demo", photos, "--out", out, "--model", flow_folder, "--device", "cpu"]
    arguments += ["--method", "teacher"]
    assert main(list(map(str, arguments))) == 0
    assert capsys.readouterr().out == f"wrote {out / 'report.html'}\n"
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<article") == 5
    assert page.count("<svg") == 5
    assert page.count("t* = ") >= 5
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import|<script", page)
    assert page.count("<img") == page.count('alt="')
    assert (out / "edges/sub/1.png").is_file()
    assert (out / "overlay/thin.png").is_file()


def test_a_demo_does_not_read_what_it_wrote(photos, sobel, capsys):
    out = photos / "demo"
    for _ in range(2):
        assert main(["demo", str(photos), "--out", str(out), "--model", str(sobel), "--quiet"]) == 0
        assert capsys.readouterr().err == ""
        assert len(list((out / "edges").rglob("*.png"))) == 4
        assert (out / "report.html").read_text(encoding="utf-8").count("<article") == 4


def test_demo_of_drawn_scenes_and_photos(sobel, tmp_path):
    assert main(["demo", "--out", str(tmp_path), "--model", sobel]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("True borders of") == 3
    assert page.count("<article") == 5 and page.count("photo by ") == 2
