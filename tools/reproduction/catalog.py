"""All experiments by name."""

from collections.abc import Callable

from reproduction import (
    detectors,
    edges,
    limits,
    masks,
    panoptic,
    prompts,
    seeds,
    semantic,
    students,
)
from reproduction.experiment import Experiment, Setting

EXPERIMENTS: dict[str, Callable[[Setting], Experiment]] = {
    **masks.EXPERIMENTS,
    **detectors.EXPERIMENTS,
    **panoptic.EXPERIMENTS,
    **students.EXPERIMENTS,
    **edges.EXPERIMENTS,
    **semantic.EXPERIMENTS,
    **limits.EXPERIMENTS,
    **seeds.EXPERIMENTS,
    **prompts.EXPERIMENTS,
}
_SHORT = {"table": "", "tab": "", "figure": "f", "fig": "f", "appendix": "", "app": ""}
_PARTS = {"f": 1, "e": 2}
"""Places of figures and of appendix E, after the tables."""


def find(name: str) -> str:
    """The name of an experiment that a person means: "1a", "Table 1a", "fig7", "f7", "App. E.1".

    Raises:
        ValueError: if there is none.
    """
    wanted = name.lower().replace(" ", "").replace(".", "").replace("-", "")
    for prefix, short in _SHORT.items():
        if wanted.startswith(prefix):
            wanted = short + wanted.removeprefix(prefix)
            break
    if wanted not in EXPERIMENTS:
        raise ValueError(f"{name}: there is no such table, figure or appendix; --list names all")
    return wanted


def names(mini: bool = False) -> list[str]:
    """All names in the paper's order: tables, figures, appendices.

    Args:
        mini: only those that have a mini run.
    """

    def order(name: str) -> tuple[int, int, str]:
        digits = "".join(letter for letter in name if letter.isdigit())
        return _PARTS.get(name[0], 0), int(digits), name

    return sorted(EXPERIMENTS.keys() - (prompts.NO_MINI.keys() if mini else ()), key=order)
