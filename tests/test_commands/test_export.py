"""``trace-mm export``: what it writes, and that other commands take it."""

from tests.tiny_students import build, shake
from trace_mm.cli import main
from trace_mm.models import save_student


def edges(*arguments):
    return main(["edges", *map(str, arguments)])


def test_export_and_edges_of_a_student(photos, flow_folder, tmp_path, capsys):
    checkpoint = save_student(shake(build(flow_folder)), tmp_path / "iter_1.pth")
    models = {"plain": ["--backbone", flow_folder], "merged": []}
    for name, backbone in models.items():
        merge = ["--merge"] if name == "merged" else []
        options = ["--backbone", flow_folder, "--dtype", "float16", "--license", "mit", *merge]
        folder = tmp_path / name
        assert main(["export", str(checkpoint), "--out", str(folder), *map(str, options)]) == 0
        assert capsys.readouterr().out.startswith(f"wrote {folder} (0.")
        assert 'license: "mit"' in (folder / "README.md").read_text()
        out = tmp_path / f"edges_{name}"
        arguments = [photos, "--out", out, "--method", "student", "--device", "cpu"]
        assert edges(*arguments, "--model", folder, *backbone) == 0
        assert capsys.readouterr().out.startswith("4 done")
    assert main(["export", str(checkpoint), "--out", str(tmp_path / "plain")]) == 2
    assert "not empty" in capsys.readouterr().err
    assert edges(*arguments, "--model", tmp_path / "plain", "--backbone", flow_folder) == 2
    error = capsys.readouterr().err
    assert "holds results of other settings" in error and "student.content" in error
    assert edges(*arguments, "--model", folder, "--noise-draws", 2) == 2
    assert f"(--backbone {flow_folder.name}" in capsys.readouterr().err
