from tests.documented_commands import ROOT
from tests.drawn_photos import write_photos


def test_settings_that_tell_things_apart_are_chosen(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "tools/benchmark"))
    import tools.benchmark.label_presets as label_presets
    import tools.dataset_converters.instances_panoptic as instances_panoptic

    write_photos(tmp_path)
    words = ["--annotations", str(tmp_path / "instances.json"), "--out", str(tmp_path / "panoptic")]
    monkeypatch.setattr("sys.argv", ["instances_panoptic", *words])
    instances_panoptic.main()
    words = [
        str(tmp_path / "images"),
        str(tmp_path / "panoptic"),
        "--edges",
        str(tmp_path / "maps"),
    ]
    label_presets.main([*words, "--min-border", "0.1", "1", "--weak-share", "0.5"])

    # Photo one's things touch, and at 1 nothing is cut.
    assert "best: min_border=0.1 weak_share=0.5" in capsys.readouterr().out
