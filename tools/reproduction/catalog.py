"""All experiments by name."""

from collections.abc import Callable

from reproduction import detectors, edges, limits, masks, panoptic, seeds, semantic, students
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
}


def find(name: str) -> str:
    """The name of an experiment that a person means: "1a", "table 1a", "Figure 7", "fig7", "f7".

    Raises:
        ValueError: if there is none.
    """
    wanted = name.lower().replace(" ", "").replace(".", "").replace("-", "")
    for prefix, short in (("table", ""), ("tab", ""), ("figure", "f"), ("fig", "f")):
        if wanted.startswith(prefix):
            wanted = short + wanted.removeprefix(prefix)
            break
    if wanted not in EXPERIMENTS:
        raise ValueError(f"{name}: there is no such table or figure; --list names all")
    return wanted


def names() -> list[str]:
    """All names, tables first, in the paper's order."""

    def order(name: str) -> tuple[bool, int, str]:
        digits = "".join(letter for letter in name if letter.isdigit())
        return name.startswith("f"), int(digits), name

    return sorted(EXPERIMENTS, key=order)
