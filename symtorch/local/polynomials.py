"""Sparse polynomials by forward selection: quick first candidates for a local equation."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np

from symtorch.engines.native.fitting.selection import forward_selection
from symtorch.equations.expr import Call, Constant, Expr, Variable
from symtorch.equations.operators import OPERATORS

MAX_PAIRED = 12
"""Columns whose products are tried, at most."""

Term = tuple[int, ...]
"""Columns that are multiplied: (2,) is x2, (2, 2) its square."""


def sparse_polynomials(
    X: np.ndarray, y: np.ndarray, weights: np.ndarray, max_terms: int = 12, degree: int = 2
) -> list[tuple[tuple[Term, ...], np.ndarray]]:
    """Weighted least-squares fits of 0, 1, 2, ... terms, each the last one plus the term that explains most.

    Over the columns of X and the products of two of them.

    Args:
        X: (n_rows, n_inputs).
        y: (n_rows,).
        weights: (n_rows,), not negative.

    Returns:
        for each number of terms the terms, and their coefficients with the constant first.
    """
    root = np.sqrt(weights / weights.sum())
    scale = np.sqrt(root**2 @ X**2)
    scale[scale == 0] = 1.0
    U = X / scale
    terms: list[Term] = [(j,) for j in range(X.shape[1])]
    if degree > 1:
        terms += list(combinations_with_replacement(_most_related(U, y, root), 2))
    columns = np.stack([np.prod(U[:, term], axis=1) for term in terms], axis=1)
    center = root**2 @ columns
    A = (columns - center) * root[:, None]
    target = (y - root**2 @ y) * root
    fits: list[tuple[tuple[Term, ...], np.ndarray]] = [((), np.array([root**2 @ y]))]
    most = min(max_terms, len(y) // 4)
    for chosen in forward_selection(A, target, most, least_of_all=1e-9, independent=1e-4):
        picked = tuple(terms[i] for i in chosen)
        factors = np.array([np.prod(scale[list(term)]) for term in picked])
        c = np.linalg.lstsq(A[:, chosen], target, rcond=None)[0]
        fits.append((picked, np.concatenate([[root**2 @ y - c @ center[chosen]], c / factors])))
    return fits


def polynomial(terms: tuple[Term, ...], coefficients: np.ndarray) -> Expr:
    """The tree of a constant plus the sum of coefficient times term."""
    expr: Expr = Constant(float(coefficients[0]))
    for term, c in zip(terms, coefficients[1:], strict=True):
        product: Expr = Constant(float(c))
        for column in term:
            product = Call(OPERATORS["*"], (product, Variable(column)))
        expr = Call(OPERATORS["+"], (expr, product))
    return expr


def _most_related(U: np.ndarray, y: np.ndarray, root: np.ndarray) -> list[int]:
    """The columns that, or whose squares, are most related to y, at most MAX_PAIRED."""
    if U.shape[1] <= MAX_PAIRED:
        return list(range(U.shape[1]))
    target = (y - root**2 @ y) * root

    def related(V: np.ndarray) -> np.ndarray:
        V = (V - root**2 @ V) * root[:, None]
        return (target @ V) ** 2 / np.maximum((V**2).sum(axis=0), 1e-300)

    return sorted(np.argsort(-np.maximum(related(U), related(U**2)))[:MAX_PAIRED].tolist())
