"""What a person is told beside results."""

import pytest

from trace_mm import console
from trace_mm.apis.instance_records import Record
from trace_mm.apis.progress import progress_bar, tell
from trace_mm.commands.command_line import Parser, run_command


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
        tell(progress, Record("a.png", 1, 1, notes=["a mask is left out", "known"]), unsaid="known")
        tell(progress, Record("b.png", 1, 1, error="not an image"))
        assert progress.n == 2 or quiet
    errors = capsys.readouterr().err
    assert ("a.png: a mask is left out" in errors) is not quiet
    assert ("2/2" in errors) is not quiet
    assert "b.png: not an image" in errors and "known" not in errors


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
