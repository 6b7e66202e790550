"""Normalised cut of a graph of patches whose affinities are binary, without a dense eigensolver.

MaskCut and TokenCut join patches with similar features by an edge of weight 1, all others by one of
weight eps, and solve (D - W) x = mu D x for the second smallest mu. With the binary neighbours B,
W = eps 1 1^T + (1 - eps) B, so that a product with W is one with B and a sum. The wanted vector
belongs to the second largest eigenvalue of S = D^-1/2 W D^-1/2; that of the largest is known,
D^1/2 1. A block Lanczos method finds it in tens of products.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_ROWS = 512  # of similarities, that are computed at a time
_BLOCK = 4  # vectors that are improved together
_LARGEST_BASIS = 10 * _BLOCK
_ANGLE = 1e-5  # largest error of the direction of the result, in radians
_FLOOR = 1e-13  # residual that double precision can still tell from zero
_MOST_STEPS = 400
_DENSE_SIZE = 128  # up to so many patches the dense solver is as fast
_MOST_GROUPS = 256  # connected components that get a vector of their own to start from

_Solution = tuple[Tensor, float, float, int]
"""Eigenvector of S (N,), its eigenvalue, the norm of the residual, and steps."""


@dataclass(frozen=True)
class NormalizedCut:
    """The relaxed normalised cut of a graph of N patches.

    Attributes:
        eigenvector: float64 (N,), x of (D - W) x = mu D x with the second smallest mu, scaled so
            that x^T D x = 1. Its entry of largest magnitude is positive, the first of several.
        eigenvalue: mu, in [0, 2]: about twice the cost of the cut, small where it is clear.
        residual: norm of (S - (1 - mu)) D^1/2 x.
        steps: of the iterative solver; 0 if the dense one was used.
    """

    eigenvector: Tensor
    eigenvalue: float
    residual: float
    steps: int


def similar_patches(features: Tensor, threshold: float) -> Tensor:
    """Which patches have features of a cosine similarity above a threshold.

    Args:
        features: (N, C).
        threshold: in [-1, 1), tau of MaskCut and TokenCut.

    Returns:
        bool (N, N), symmetric. A patch whose features are all zero is similar to none, nor to
        itself, unless the threshold is negative.

    Raises:
        ValueError: if the shape or the threshold is wrong, or features are not finite.

    Examples:
        >>> import torch
        >>> features = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
        >>> similar_patches(features, 0.5).int().tolist()
        [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    """
    if features.ndim != 2 or not features.numel():
        raise ValueError(f"features must be (N, C), got {tuple(features.shape)}")
    if not -1 <= threshold < 1:
        raise ValueError(f"the threshold must be in [-1, 1), got {threshold}")
    unit = functional.normalize(features.float(), dim=1)
    if not unit.isfinite().all():
        raise ValueError("features must be finite")
    size = len(unit)
    similar = torch.empty(size, size, dtype=torch.bool, device=unit.device)
    for start in range(0, size, _ROWS):  # one half, so that rounding cannot tell it from the other
        rows = slice(start, start + _ROWS)
        block = unit[rows] @ unit[start:].T > threshold  # (rows, N - start)
        block[:, : len(block)] |= block[:, : len(block)].T.clone()
        similar[rows, start:] = block
        similar[start:, rows] = block.T
    return similar


def normalized_cut(neighbors: Tensor, eps: float = 1e-5) -> NormalizedCut:
    """Solve the normalised cut of Shi and Malik (2000) for affinities 1 and eps.

    The result is that of a dense float64 solver up to an angle of 1e-5 between the vectors D^1/2 x,
    as long as the wanted eigenvalue is apart from the next by more than rounding. Connected
    components of the neighbours, whose eigenvalues lie within about eps N of one another, are found
    first and started from. All is computed in float64 from fixed starting vectors, so that only
    rounding depends on the device and its threads. Where 400 steps do not suffice, the dense solver
    is used.

    Args:
        neighbors: bool (N, N), symmetric, N at least 2: where the affinity is 1.
        eps: the affinity elsewhere, in (0, 1).

    Raises:
        ValueError: if a shape, a type or eps is wrong.
    """
    if neighbors.ndim != 2 or neighbors.shape[0] != neighbors.shape[1] or len(neighbors) < 2:
        raise ValueError(f"neighbors must be (N, N), N at least 2, got {tuple(neighbors.shape)}")
    if neighbors.dtype != torch.bool:
        raise ValueError(f"neighbors must be bool, got {neighbors.dtype}")
    if not 0 < eps < 1:
        raise ValueError(f"eps must be in (0, 1), got {eps}")
    graph = _Graph(neighbors, eps)
    found = _solve_dense(graph) if graph.size <= _DENSE_SIZE else _solve(graph)
    if found is None:
        found = _solve_dense(graph)
    vector, value, residual, steps = found
    vector = vector * graph.scale  # from D^1/2 x to x
    return NormalizedCut(vector * _sign(vector), 1.0 - value, residual, steps)


class _Graph:
    """S = D^-1/2 W D^-1/2 as a product with vectors.

    Attributes:
        size: N.
        eps: affinity of patches that are not neighbours.
        neighbors: bool (N, N), on the CPU.
        counts: int64 (N,), of neighbours, likewise.
        scale: float64 (N,), D^-1/2.
        top: float64 (N,), the first eigenvector of S, of length 1.
    """

    def __init__(self, neighbors: Tensor, eps: float) -> None:
        self.size, self.eps = len(neighbors), eps
        self.neighbors = neighbors.cpu().numpy()
        self.counts = np.count_nonzero(self.neighbors, axis=1)
        degrees = eps * self.size + (1 - eps) * torch.from_numpy(self.counts).to(
            neighbors.device, torch.float64
        )
        self.scale = degrees.rsqrt()
        self.top = degrees.sqrt() / degrees.sum().sqrt()
        # Of many neighbours, those that are none are fewer: B = 1 1^T - C.
        self._complement = self.counts.sum() > self.size**2 / 2
        matrix = ~self.neighbors if self._complement else self.neighbors
        self._times = _sparse_product(matrix, neighbors.device)

    def apply(self, vectors: Tensor) -> Tensor:
        """Rows (m, N) float64 times S."""
        scaled = vectors * self.scale
        everywhere = scaled.sum(1, keepdim=True)  # (m, 1)
        near = self._times(scaled.T.contiguous()).T  # (m, N)
        if self._complement:
            near = everywhere - near
        return self.scale * ((1 - self.eps) * near + self.eps * everywhere)


def _sparse_product(matrix: NDArray[np.bool_], device: torch.device) -> Callable[[Tensor], Tensor]:
    """The product of a bool matrix (N, N) with float64 columns (N, m), in compressed rows."""
    columns = (np.flatnonzero(matrix) % len(matrix)).astype(np.int32)  # row by row
    starts = np.zeros(len(matrix) + 1, dtype=np.int32)
    starts[1:] = np.count_nonzero(matrix, axis=1).cumsum()
    ones = np.ones(len(columns))
    if device.type == "cpu" and not torch.backends.mkl.is_available():
        compressed = scipy.sparse.csr_array((ones, columns, starts), shape=matrix.shape)
        return lambda vectors: torch.from_numpy(compressed @ vectors.numpy())
    first, second, third = (torch.from_numpy(part).to(device) for part in (starts, columns, ones))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        rows = torch.sparse_csr_tensor(first, second, third, matrix.shape, check_invariants=False)
    return lambda vectors: rows @ vectors


def _solve(graph: _Graph) -> _Solution | None:
    """The second eigenvector of S by a block Lanczos method with restarts; None if it fails."""
    basis = _orthonormal(_start(graph), graph.top[None])  # (k, N)
    images = graph.apply(basis)
    for step in range(1, _MOST_STEPS + 1):
        values, mixing = torch.linalg.eigh(basis @ images.T)
        values, mixing = values.flip(0), mixing.mT.flip(0)  # (k,), (k, k): largest first, in rows
        vectors, products = mixing[:_BLOCK] @ basis, mixing[:_BLOCK] @ images  # (block, N)
        residuals = products - values[:_BLOCK, None] * vectors
        error, next_error = residuals[:2].norm(dim=1).tolist()
        gap = float(values[0] - values[1])
        # What is next must be known, too, for its distance to be trusted.
        if error <= _FLOOR or (error <= _ANGLE * gap and next_error <= 0.1 * gap):
            return vectors[0], float(values[0]), error, step
        if len(basis) + _BLOCK > _LARGEST_BASIS:
            kept = mixing[: 2 * _BLOCK]
            basis, images = kept @ basis, kept @ images
        added = _orthonormal(residuals, torch.cat([graph.top[None], basis]))
        basis, images = torch.cat([basis, added]), torch.cat([images, graph.apply(added)])
    return None


def _solve_dense(graph: _Graph) -> _Solution:
    """The same from all entries of S, in float64."""
    scale, top = graph.scale.cpu().numpy(), graph.top.cpu().numpy()
    matrix = np.where(graph.neighbors, 1.0, graph.eps) * scale[:, None] * scale
    # The first is known, and taken away: in a graph of two parts the two can hardly be told apart.
    matrix -= np.multiply.outer(top, top)
    last = graph.size - 1
    values, vectors = scipy.linalg.eigh(matrix, subset_by_index=[last, last])
    vector = torch.from_numpy(vectors[:, 0]).to(graph.top.device)
    residual = graph.apply(vector[None])[0] - float(values[0]) * vector
    return vector, float(values[0]), float(residual.norm()), 0


def _orthonormal(rows: Tensor, others: Tensor) -> Tensor:
    """An orthonormal basis (m, N) of rows (m, N), orthogonal to other orthonormal rows."""
    for _ in range(2):  # once leaves rounding errors, twice is enough
        rows = rows - (rows @ others.T) @ others
        rows = torch.linalg.qr(rows.T).Q.T
    return rows - (rows @ others.T) @ others


def _start(graph: _Graph) -> Tensor:
    """Rows (k, N) to start from: the best combinations of connected components, and fixed ones."""
    golden = (math.sqrt(5) - 1) / 2
    count = torch.arange(1, _BLOCK * graph.size + 1, dtype=torch.float64)
    rows = [(count * golden % 1 - 0.5).view(_BLOCK, -1).to(graph.top)]  # like random numbers
    groups = _component_groups(graph)
    number = int(groups.max()) + 1
    if number > 1:
        member = functional.one_hot(groups, number).T.double()  # (groups, N)
        member = member * graph.top
        member = member / member.norm(dim=1, keepdim=True)
        # Rayleigh and Ritz: the largest eigenvalues of S among vectors that are constant (times
        # D^1/2) on each component. The first is the known one.
        _, mixing = torch.linalg.eigh(member @ graph.apply(member).T)
        rows.insert(0, mixing.mT.flip(0)[1 : 2 * _BLOCK] @ member)
    return torch.cat(rows)


def _component_groups(graph: _Graph) -> Tensor:
    """The connected component of each patch, int64 (N,); those of one patch share a number.

    Single patches are all alike, so that the wanted vector has the same value on all of them.
    Components beyond a number of them share one, too: it is only a start.
    """
    counts, near = graph.counts, graph.neighbors
    unseen = counts > 1
    groups = np.zeros(graph.size, dtype=np.int64)
    number = 0
    while unseen.any():
        number = min(number + 1, _MOST_GROUPS)
        front = np.zeros_like(unseen)
        front[np.argmax(np.where(unseen, counts, 0))] = True
        while front.any():
            groups[front] = number
            unseen &= ~front
            front = near[front].any(0) & unseen
    numbers = np.unique(groups, return_inverse=True)[1]
    return torch.from_numpy(numbers).to(graph.top.device)


def _sign(vector: Tensor) -> float:
    """1 or -1, so that the entry of largest magnitude, times it, is positive."""
    size = vector.abs()
    first = (size >= (1 - 1e-6) * size.max()).nonzero()[0]  # of equal ones, whatever their rounding
    return 1.0 if float(vector[first]) >= 0 else -1.0
