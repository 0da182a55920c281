"""A small, honest engine for tests of everything around the search: least squares, one front per output."""

from __future__ import annotations

import numpy as np

from symtorch.engines import Progress
from symtorch.equations import Equation, Front, parse


class LinearEngine:
    """Finds the constant and the linear equation that fit best; counts its searches."""

    name = "linear"

    def __init__(self, complexities=(1, 5)):
        self.complexities = complexities
        self.searches = []

    def search(self, samples, options, progress=None):
        self.searches.append(samples)
        fronts = [self._front(samples, k) for k in range(samples.n_outputs)]
        if progress is not None:
            progress(Progress("fit", None, 1, 1, tuple(f.best.loss for f in fronts), lambda: fronts))
        return fronts

    def _front(self, samples, k):
        y, names = samples.Y[:, k], samples.variable_names
        w = np.ones(len(y)) if samples.weights is None else samples.weights
        A = np.column_stack([np.ones(len(y)), samples.X])
        c = np.linalg.lstsq(A * np.sqrt(w)[:, None], y * np.sqrt(w), rcond=None)[0]
        line = " + ".join([repr(float(c[0])), *(f"({float(a)!r})*{n}" for a, n in zip(c[1:], names, strict=True))])
        equations = []
        for complexity, text in zip(self.complexities, (repr(float(np.average(y, weights=w))), line), strict=True):
            eq = Equation(parse(text, names), names, complexity, 0.0)
            loss = float(np.average((eq.predict(samples.X) - y) ** 2, weights=w))
            equations.append(Equation(eq.expr, names, complexity, loss))
        info = {"model_selection": "accuracy", "engine": self.name, "stop_reason": "converged"}
        return Front.from_candidates(equations, n_samples=len(y), **info)
