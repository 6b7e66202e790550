"""How many edge pixels can be matched at each of many thresholds, from few changes between them."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def matching_sizes(graph: "csr_array", present: np.ndarray) -> np.ndarray:
    """Sizes of maximum matchings of a graph's columns with several sets of its rows.

    The sets are gone through from the last to the first, and what one adds or takes away changes
    the matching of the one before. So the time depends on how much they differ, and not on how many
    they are. Only the sizes are told: with which rows and columns they are reached is left open.

    Args:
        graph: candidate pairs (P, T), as ``candidate_graph`` makes it.
        present: bool (P, S), the rows of each of S sets; neighbouring ones should be much alike.

    Returns:
        int64 (S,).

    Raises:
        ValueError: if ``present`` has not a row for each of the graph's.
    """
    if present.ndim != 2 or len(present) != graph.shape[0]:
        raise ValueError(
            f"rows must be told for {graph.shape[0]} predictions, got shape {present.shape}"
        )
    linked = np.flatnonzero(np.diff(graph.indptr))
    # (S + 1, n) of the sets, the smallest last: after it comes the empty one.
    sets = np.pad(present[linked].T.astype(np.int8), ((0, 1), (0, 0)))
    changes = np.diff(sets, axis=0)
    matching = _ChangingMatching(graph)
    sizes = np.zeros(present.shape[1], dtype=np.int64)
    for number in range(len(sizes) - 1, -1, -1):
        for row in linked[changes[number] > 0].tolist():
            matching.remove(row)
        for row in linked[changes[number] < 0].tolist():
            matching.add(row)
        sizes[number] = matching.size
    return sizes


class _ChangingMatching:
    """A maximum matching of the rows that are there, which come and go one by one.

    Columns are open or closed, and this is kept true: a closed column is matched; a row that is
    free, or is matched with a closed column, has closed columns only. So no alternating path leads
    from a free row to a free column, and the matching is a maximum (Berge, 1957). A row that comes
    searches open columns only, and closes those that it has seen if none was free. A row that goes
    frees its column; only if that was closed can there be another row that needs it.

    Attributes:
        size: number of pairs.
    """

    def __init__(self, graph: "csr_array") -> None:
        rows, columns = graph.shape
        # Lists: single numbers are read, which arrays are slow at.
        self._columns, self._row_start = graph.indices.tolist(), graph.indptr.tolist()
        transposed = graph.tocsc()
        self._rows, self._column_start = transposed.indices.tolist(), transposed.indptr.tolist()
        self._column_of = [-1] * rows
        self._row_of = [-1] * columns
        self._is_here = bytearray(rows)
        self._is_closed = bytearray(columns)
        self._reached_from = [-1] * columns  # the row from which a search came to a column
        self.size = 0

    def add(self, row: int) -> None:
        """A row that was not there comes."""
        self._is_here[row] = True
        for column in self._columns_of(row):
            if self._row_of[column] < 0:  # most rows find one at once
                self._pair(row, column)
                self.size += 1
                return
        closed, reached_from = self._is_closed, self._reached_from
        seen, end = [], -1
        queue = [row]
        for from_row in queue:  # it grows
            for column in self._columns_of(from_row):
                if closed[column]:
                    continue
                closed[column] = True
                seen.append(column)
                reached_from[column] = from_row
                owner = self._row_of[column]
                if owner < 0:
                    end = column
                    break
                queue.append(owner)
            if end >= 0:
                break
        if end < 0:
            return
        for column in seen:
            closed[column] = False
        while end >= 0:  # each row of the path moves to the next column, from the end on
            mover = reached_from[end]
            left = self._column_of[mover]
            self._pair(mover, end)
            end = left
        self.size += 1

    def remove(self, row: int) -> None:
        """A row that was there goes."""
        self._is_here[row] = False
        freed = self._column_of[row]
        if freed < 0:
            return
        self._column_of[row] = self._row_of[freed] = -1
        self.size -= 1
        if self._is_closed[freed]:
            self._refill(freed)

    def _refill(self, freed: int) -> None:
        """Match a free closed column again if a free row can be brought there; else open it."""
        closed = self._is_closed
        closed[freed] = False
        seen = [freed]
        toward: dict[int, tuple[int, int]] = {}  # by the column: which row leaves it, and to where
        for column in seen:  # it grows
            for row in self._rows_of(column):
                if not self._is_here[row]:
                    continue
                owned = self._column_of[row]
                if owned < 0:
                    for closed_again in seen:
                        closed[closed_again] = True
                    self._pair(row, column)
                    while column != freed:
                        row, column = toward[column]
                        self._pair(row, column)
                    self.size += 1
                    return
                if closed[owned]:
                    closed[owned] = False
                    seen.append(owned)
                    toward[owned] = (row, column)

    def _pair(self, row: int, column: int) -> None:
        self._column_of[row], self._row_of[column] = column, row

    def _columns_of(self, row: int) -> list[int]:
        return self._columns[self._row_start[row] : self._row_start[row + 1]]

    def _rows_of(self, column: int) -> list[int]:
        return self._rows[self._column_start[column] : self._column_start[column + 1]]
