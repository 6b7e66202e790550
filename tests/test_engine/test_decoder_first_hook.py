from types import SimpleNamespace

import pytest

from trace_mm.registry import HOOKS


def states(iterations, start, end):
    """What is trained in each iteration of a run."""
    student = SimpleNamespace(decoder_only=False)
    runner = SimpleNamespace(model=student, iter=start)
    hook = HOOKS.build({"type": "DecoderFirstHook", "iterations": iterations})
    found = []
    for runner.iter in range(start, end):
        hook.before_train_iter(runner, 0)
        found.append(student.decoder_only)
    hook.after_train(runner)
    assert not student.decoder_only
    return found


def test_the_decoder_is_trained_alone_at_first():
    assert states(2, 0, 4) == [True, True, False, False]
    assert states(0, 0, 2) == [False, False]


def test_a_resumed_run_goes_on_as_before():
    whole = states(3, 0, 6)
    assert states(3, 2, 6) == whole[2:]
    assert states(3, 5, 6) == whole[5:]


def test_iterations_must_not_be_negative():
    with pytest.raises(ValueError, match="at least 0, got -1"):
        HOOKS.build({"type": "DecoderFirstHook", "iterations": -1})
