"""Finding, choosing and reading an equation on a local sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from symtorch.codegen.torch_function import SymbolicFunction
from symtorch.engines.base import Engine
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.expr import Constant, Expr, Variable, evaluate, substitute, to_text, variables
from symtorch.equations.front import Equation, Front
from symtorch.local.polynomials import polynomial, sparse_polynomials

SEARCH_ROWS = 400
"""Rows of the sample that the engine searches; the polynomials take all."""

SEARCH_COLUMNS = 5
"""Columns that the engine searches: those that the polynomials use first."""

COLUMN_TERMS = 12
"""Terms that are looked at for those columns, also where fewer terms are wanted as equations."""

TOLERANCE = 0.05
"""A simpler equation may have this share of error more than the best."""


def local_front(
    sample: Samples, options: SearchOptions, engine: Engine | None, max_terms: int, rng: np.random.Generator
) -> Front:
    """Equations for the one output of a local sample.

    Sparse polynomials on all columns come first. The engine starts from them, on the columns that
    they use first; with no engine they are all.
    """
    y, weights = sample.Y[:, 0], sample.weights
    assert weights is not None
    found: Front | None = None
    # Of a flat model the mean is its value, without the rounding of sums.
    exprs: list[Expr] = [Constant(float(np.clip(np.average(y, weights=weights), y.min(), y.max())))]
    if np.ptp(y) > 1e-12 * np.abs(y).max():
        fits = sparse_polynomials(sample.X, y, weights, max(max_terms, COLUMN_TERMS))
        if {"+", "*"} <= options.operators.keys():
            exprs += [polynomial(terms, c) for terms, c in fits[: max_terms + 1]]
        used = dict.fromkeys(column for term in fits[-1][0] for column in term)
        columns = sorted((list(used) or list(range(sample.n_inputs)))[:SEARCH_COLUMNS])
        if engine is not None:
            found = _searched(sample, columns, exprs, options, engine, rng)
            exprs += [substitute(eq.expr, [Variable(c) for c in columns]) for eq in found]

    def equation(expr: Expr) -> Equation:
        loss = float(np.average((evaluate(expr, sample.X) - y) ** 2, weights=weights))
        return Equation(expr, sample.variable_names, options.complexity(expr), loss)

    return Front.from_candidates(
        map(equation, exprs),
        model_selection=options.model_selection,
        engine="polynomials" if found is None else found.engine,
        stop_reason="no search" if found is None else found.stop_reason,
        n_samples=sample.n_samples,
        seconds=0.0 if found is None else found.seconds,
    )


def _searched(
    sample: Samples,
    columns: list[int],
    exprs: Sequence[Expr],
    options: SearchOptions,
    engine: Engine,
    rng: np.random.Generator,
) -> Front:
    rows = np.sort(rng.permutation(sample.n_samples)[:SEARCH_ROWS])
    names = tuple(sample.variable_names[c] for c in columns)
    weights = None if sample.weights is None else sample.weights[rows]
    part = Samples(sample.X[rows][:, columns], sample.Y[rows], weights, names)
    new = [Variable(columns.index(c)) if c in columns else Variable(0) for c in range(sample.n_inputs)]
    starts = [substitute(e, new) for e in exprs if set(variables(e)) <= set(columns) and not options.violation(e)]
    guesses = tuple(to_text(e, names) for e in starts) or None
    return engine.search(part, options if options.guesses else replace(options, guesses=guesses))[0]


def choose(front: Front, validation: Samples) -> Equation:
    """The simplest equation whose error on these samples is about as small as that of the best."""
    errors = [_error(equation, validation) for equation in front]
    y = validation.Y[:, 0]
    limit = (1 + TOLERANCE) * min(errors) + 1e-12 * float(np.average((y - y.mean()) ** 2, weights=validation.weights))
    return next((eq for eq, error in zip(front, errors, strict=True) if error <= limit), front[-1])


def _error(equation: Equation, samples: Samples) -> float:
    error = (equation.predict(samples.X) - samples.Y[:, 0]) ** 2
    mean = float(np.average(error, weights=samples.weights))
    return mean if np.isfinite(mean) else float("inf")


def path_attributions(expr: Expr, start: np.ndarray, end: np.ndarray, n_nodes: int = 64) -> np.ndarray:
    """Integrated gradients of an equation from one point to another (n_inputs,): (n_inputs,).

    Partial derivatives, averaged along the straight line, times deviations (Sundararajan et al., ICML
    2017, arXiv 1703.01365). They add up to the difference of the equation's values, up to the error of
    Gauss-Legendre quadrature, which is none for polynomials.
    """
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    along = torch.from_numpy(start + (nodes[:, None] + 1) / 2 * (end - start)).requires_grad_(True)
    with torch.enable_grad():
        value = SymbolicFunction([expr], len(start)).double()(along).sum()
        gradient = torch.autograd.grad(value, along, allow_unused=True)[0] if value.requires_grad else None
    if gradient is None:
        return np.zeros(len(start))
    return (weights / 2) @ gradient.numpy() * (end - start)
