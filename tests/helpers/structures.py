"""Teachers and boxes for the tests of structure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from symtorch.engines.native.structure.decompose import Laws
from symtorch.engines.native.structure.evidence import Evidence
from symtorch.engines.native.structure.problem import Count, Problem, root
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import evaluate

Teacher = Callable[[np.ndarray], np.ndarray]
OPTIONS = SearchOptions.from_params(
    {
        "binary_operators": ["+", "-", "*", "/"],
        "unary_operators": ["square", "sqrt", "exp", "log", "sin", "cos"],
        "complexity_of_operators": {},
    }
)


def box(d: int, low: float = 1.0, high: float = 3.0, n: int = 500, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, (n, d))


def problem_of(f: Teacher, X: np.ndarray) -> Problem:
    return root(X, f, Count(), 0)


def evidence_of(f: Teacher, X: np.ndarray) -> Evidence:
    return Evidence(problem_of(f, X), np.random.default_rng(0))


def wobble(d: int, size: float, seed: int = 3) -> Teacher:
    """A smooth error without structure, as a trained network's: a few random waves."""
    rng = np.random.default_rng(seed)
    W, b = rng.normal(0, 1.2, (d, 40)), rng.uniform(0, 6, 40)
    return lambda X: size * np.cos(X @ W + b).sum(axis=1) / np.sqrt(20.0)


def law_error(laws: Laws, law: Teacher, X: np.ndarray) -> float:
    truth = law(X)
    return min(float(np.mean((evaluate(e, X) - truth) ** 2) / truth.var()) for e in laws.exprs)
