"""What a person is told beside results."""

import pytest

from trace_mm import console
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.runs.progress import progress_bar, tell, watched
from trace_mm.runs.records import Record


@pytest.fixture(params=[False, True], ids=["as usual", "quiet"])
def quiet(request):
    console.set_quiet(request.param)
    yield request.param
    console.set_quiet(False)


def test_notes_are_left_out_if_asked_for(quiet, capsys):
    console.note("two files were passed over")
    captured = capsys.readouterr()
    assert captured.err == ("" if quiet else "note: two files were passed over\n")
    assert captured.out == ""


def test_bars_and_notes_of_images_too_but_not_errors(quiet, capsys):
    with progress_bar(2) as progress:
        tell(progress, Record("a.png", notes=["a mask is left out", "known"]), unsaid="known")
        tell(progress, Record("b.png", error="b.png: not an image"))
        assert progress.n == 2 or quiet
    errors = capsys.readouterr().err
    assert ("a.png: a mask is left out" in errors) is not quiet
    assert ("2/2" in errors) is not quiet
    assert "failed: b.png: not an image" in errors and "known" not in errors


def test_things_are_counted_as_they_are_dealt_with(quiet, capsys):
    assert list(watched(iter("abc"), 3, label="letters", unit="letter")) == ["a", "b", "c"]
    assert ("letters: 100%" in (told := capsys.readouterr().err)) is not quiet
    assert ("3/3" in told) is not quiet
    assert list(watched([1, 2], show=False)) == [1, 2]
    assert capsys.readouterr().err == ""


def test_commands_are_quiet_if_asked_to(capsys):
    def main(arguments):
        parser = Parser()
        parser.add_argument("--size")
        parser.parse_args(arguments)
        console.note("how it was done")
        print("what was done")

    for arguments in (["--quiet"], ["--size", "3", "--quiet"], []):
        assert run_command(lambda words=arguments: main(words), "tool") == 0
        captured = capsys.readouterr()
        assert captured.out == "what was done\n"
        assert captured.err == ("" if arguments else "note: how it was done\n")
