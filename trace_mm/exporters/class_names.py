"""Names and running numbers of the classes of masks, which may turn up one by one."""

from collections.abc import Mapping


class ClassNames:
    """Classes by the ids that masks have as labels.

    Those whose names are known come first, by id; others follow as they are met. No two have the
    same name: programs tell classes apart by it.

    Args:
        names: by id, as far as they are known.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self._named = bool(names)
        self._names: dict[int, str] = {}
        self._taken: set[str] = set()
        self._index: dict[int, int] = {}
        for label in sorted(names):
            self._add(label, names[label])

    def index(self, label: int) -> int:
        """The running number of a class, from 0."""
        if label not in self._index:
            self._add(label, self._default(label))
        return self._index[label]

    def name(self, label: int) -> str:
        """What a class is called."""
        self.index(label)
        return self._names[label]

    def all(self) -> dict[int, str]:
        """Names by id, in the order of running numbers. One at least: many programs need it."""
        if not self._names:
            self.index(1)
        return dict(self._names)

    def _default(self, label: int) -> str:
        return "object" if label == 1 and not self._named else f"class {label}"

    def _add(self, label: int, name: str) -> None:
        base = name = " ".join(name.split()) or self._default(label)
        if name in self._taken:
            name = f"{base} {label}"
        while name in self._taken:
            name += "_"
        self._index[label] = len(self._index)
        self._names[label] = name
        self._taken.add(name)
