"""Which numbering of a dataset's classes semantic maps follow, decided by the ids in them."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trace_mm.files.id_maps import numbering
from trace_mm.files.members import AnyFile
from trace_mm.panoptic.classes import DEEP_VOID_ID, VOID_ID, PanopticClasses, shipped_class_files
from trace_mm.panoptic.semantic_maps import SeenMaps, look_at, see_maps

_MOST_MAPS = 0.95  # of maps, that a numbering has to fit
_CHANCE = 0.01  # a numbering that makes what is seen less likely than this is not meant
_ENOUGH_IDS = 30  # to speak of chance: classes that are seen together are neighbours
_FEW_STUFF = 2
_VOID = frozenset({VOID_ID, DEEP_VOID_ID})
_SHOWN = 4  # ids whose meaning a message tells


@dataclass(frozen=True)
class Variant:
    """A numbering of the classes of a dataset.

    Attributes:
        name: what users call it.
        file: name of the shipped class file.
        about: whose numbering it is, in words.
        first: the id of the first class, where ids follow the order of the file.
        shift: what is added to the file's category ids, where ids are those.
        zero_is_class: maps of this kind have no background; their 0 is the first class.
    """

    name: str
    file: str
    about: str
    first: int | None = None
    shift: int = 0
    zero_is_class: bool = False

    def classes(self) -> PanopticClasses:
        """The classes with this numbering."""
        classes = PanopticClasses.from_file(shipped_class_files()[self.file])
        count = len(classes.names)
        ids = (
            tuple(number + self.shift for number in classes.category_ids)
            if self.first is None
            else tuple(range(self.first, self.first + count))
        )
        return replace(classes, ids=ids)


VARIANTS = (
    Variant("coco2017-contiguous", "coco2017", "1 to 133 without a gap, 0 is void", first=1),
    Variant("coco2017-own", "coco2017", "COCO's own ids, 1 to 90 and 92 to 200, 0 is void"),
    Variant("coco2017-from-0", "coco2017", "MMDetection's, 0 to 132", first=0, zero_is_class=True),
    Variant("cocostuff-own", "cocostuff", "COCO-Stuff's labels, 1 to 182, 0 is void"),
    Variant("cocostuff-pixelmaps", "cocostuff", "COCO-Stuff's files, 0 to 181", None, -1, True),
    Variant(
        "cocostuff-from-0", "cocostuff", "MMSegmentation's, 0 to 170", first=0, zero_is_class=True
    ),
)
"""Numberings by name; of those that agree on what is seen, the first is named."""

FAMILIES = {
    "coco": VARIANTS,
    "coco2017": tuple(variant for variant in VARIANTS if variant.file == "coco2017"),
    "cocostuff": tuple(variant for variant in VARIANTS if variant.file == "cocostuff"),
}
"""Names that let the ids decide."""


def class_names() -> list[str]:
    """What ``--classes`` takes besides a file."""
    names = [*FAMILIES, *(variant.name for variant in VARIANTS)]
    return names + [name for name in shipped_class_files() if name not in names]


def choose_classes(
    name: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    maps: Sequence[AnyFile] | None = None,
) -> tuple[PanopticClasses, str]:
    """The classes that semantic maps are of.

    Args:
        name: a class file; the name of a shipped one or of a numbering, which is taken at its word;
            or one of ``FAMILIES``, of whose numberings the one is taken that the ids in the maps
            show.
        folder: of the maps.
        maps: some of them; None looks for them in the folder.

    Returns:
        The classes, and what was taken and how to say otherwise; empty if nothing was decided.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: if it is no class file; the maps hold no classes; none of the numberings fits;
            or several do and disagree on what the ids mean.
    """
    text = os.fspath(name)
    family = FAMILIES.get(text)
    classes = None if family else _named(text)
    seen = see_maps(folder) if maps is None else look_at(maps)
    _check_classes_are_seen(seen, () if classes is None else classes.ids, folder)
    if family is None:
        assert classes is not None
        return classes, ""
    variant = _choose(text, family, seen, folder)
    others = ", ".join(other.name for other in family if other is not variant)
    meaning = _meaning(variant.classes(), sorted(seen.ids - {0} - _VOID)[:_SHOWN])
    return variant.classes(), (
        f"{folder}: ids are taken for {variant.name} ({variant.about}): {meaning}; --classes says "
        f"otherwise: {others}"
    )


def _named(name: str) -> PanopticClasses:
    for variant in VARIANTS:
        if variant.name == name:
            return variant.classes()
    if name not in shipped_class_files() and not Path(name).is_file():
        raise FileNotFoundError(f"{name}: no such class file; names are {', '.join(class_names())}")
    return PanopticClasses.from_file(name)


def _check_classes_are_seen(
    seen: SeenMaps, known: Collection[int], folder: str | os.PathLike[str]
) -> None:
    """Refuse masks in black and white, and maps of objects, but no class that has a known id."""
    void = _VOID - {*known}
    if 0 in seen.ids and 0 < len(seen.ids & void) == len(seen.ids) - 1:
        raise ValueError(
            f"{folder}: the maps hold {max(seen.ids)}, which is void, and 0, but no class: masks "
            "in black and white do not say what they show"
        )
    divisor = numbering(ids - {0} - void for ids in seen.maps)
    if divisor is not None:
        raise ValueError(
            f"{folder}: ids are class * {divisor} + number of the object, such as "
            f"{max(seen.ids)}; semantic maps hold classes alone"
        )


def _choose(
    name: str, family: Sequence[Variant], seen: SeenMaps, folder: str | os.PathLike[str]
) -> Variant:
    if not seen.maps and not seen.scores:
        return family[0]
    kinds = {variant: variant.classes() for variant in family}
    fitting = _fitting(kinds, seen)
    if not fitting:
        odd = sorted(seen.ids - {0} - _VOID - set().union(*(k.ids for k in kinds.values())))
        shown = f"ids {', '.join(map(str, odd[:5]))}" if odd else "the ids or numbers of scores"
        raise ValueError(
            f"{folder}: {shown} are of none of the numberings of {name}: "
            + "; ".join(f"{variant.name} is {variant.about}" for variant in family)
        )
    whole = [variant for variant in fitting if seen.ids.issuperset(kinds[variant].ids)]
    if len(whole) == 1:
        return whole[0]
    if any(not variant.zero_is_class for variant in fitting) and _zero_is_background(name, seen):
        fitting = [variant for variant in fitting if not variant.zero_is_class]
    fitting = [one for one in fitting if not _is_unlikely(one, fitting, kinds, seen.ids)]
    meanings = {_meanings(kinds[variant], seen.ids): variant for variant in reversed(fitting)}
    if len(meanings) > 1:
        first, second = list(meanings.values())[::-1][:2]
        differing = sorted(
            number
            for number in seen.ids - _VOID
            if _name(kinds[first], number) != _name(kinds[second], number)
        )[:_SHOWN]
        raise ValueError(
            f"{folder}: the ids fit several numberings of {name}. Say which they follow, as "
            + " or ".join(
                f"--classes {variant.name} ({variant.about}: {_meaning(kinds[variant], differing)})"
                for variant in fitting
            )
        )
    return next(iter(meanings.values()))


def _fitting(kinds: dict[Variant, PanopticClasses], seen: SeenMaps) -> list[Variant]:
    """The numberings that most maps fit."""
    found = []
    for variant, classes in kinds.items():
        allowed = {*classes.ids, 0, *_VOID}
        fits = [ids <= allowed for ids in seen.maps]
        fits += [count == len(classes.ids) for count in seen.scores]
        if fits and sum(fits) >= _MOST_MAPS * len(fits):
            found.append(variant)
    return found


def _zero_is_background(name: str, seen: SeenMaps) -> bool:
    """Panoptic COCO has no class 0; COCO-Stuff's own files do, and mark void by 255."""
    return name != "cocostuff" and 0 in seen.ids and not seen.ids & _VOID


def _is_unlikely(
    variant: Variant,
    fitting: Sequence[Variant],
    kinds: dict[Variant, PanopticClasses],
    seen: frozenset[int],
) -> bool:
    """Whether another numbering explains better which ids are never seen.

    It does if the ids avoid all those that only this one has, which would be a rare chance, or if
    they hit many of its things but one or two of its stuff where they are things by the other.
    """
    ids = seen - {0} - _VOID
    if len(ids) < _ENOUGH_IDS:
        return False
    own = kinds[variant]
    for other in (kinds[one] for one in fitting if one is not variant):
        inside = [
            number for number in own.ids if min(ids, default=0) <= number <= max(ids, default=0)
        ]
        holes = {*inside} - {*other.ids}
        if holes and not holes & ids and (1 - len(holes) / len(inside)) ** len(ids) < _CHANCE:
            return True
        if 0 < _stuff(own, ids) <= _FEW_STUFF and _stuff(other, ids) == 0:
            return True
    return False


def _stuff(classes: PanopticClasses, ids: frozenset[int]) -> int:
    """How many of the ids are stuff."""
    return sum(classes.semantic_ids.get(number, 0) >= classes.num_things for number in ids)


def _name(classes: PanopticClasses, number: int) -> str:
    index = classes.semantic_ids.get(number)
    return "void" if index is None else classes.names[index]


def _meanings(classes: PanopticClasses, seen: frozenset[int]) -> tuple[tuple[int, str], ...]:
    return tuple((number, _name(classes, number)) for number in sorted(seen - _VOID))


def _meaning(classes: PanopticClasses, ids: Sequence[int]) -> str:
    return ", ".join(f"{number} is {_name(classes, number)}" for number in ids)
