"""A small, honest engine for tests of everything around the search: least squares, one front per output."""

from __future__ import annotations

from typing import Any

import numpy as np

from symtorch.engines import Engine, Progress
from symtorch.equations import Equation, Front, parse
from symtorch.errors import OptionError


class LinearEngine(Engine):
    """Finds the constant and the linear equation that fit best; counts its searches.

    Args:
        complexities: of the two, and both are always found; None to count them, and to leave out what is
            not in the search space, as an engine must.
    """

    name = "linear"

    def __init__(self, complexities: Any = (1, 5)) -> None:
        self.complexities = complexities
        self.searches: list[Any] = []

    def check(self, options: Any) -> None:
        super().check(options)
        if options.elementwise_loss not in (None, "L2DistLoss()"):
            raise OptionError("engine 'linear' fits least squares; elementwise_loss can't be another.")

    def search(self, samples: Any, options: Any, progress: Any = None) -> Any:
        self.check(options)
        self.searches.append(samples)
        fronts = [self._front(samples, options, k, "converged") for k in range(samples.n_outputs)]
        try:
            if progress is not None:
                progress(Progress("fit", 1, 1, tuple(f.best.loss for f in fronts), lambda: fronts))
        except KeyboardInterrupt:
            return [self._front(samples, options, k, "interrupted") for k in range(samples.n_outputs)]
        return fronts

    def _front(self, samples: Any, options: Any, k: Any, stop_reason: str) -> Any:
        y, names = samples.Y[:, k], samples.variable_names
        w = np.ones(len(y)) if samples.weights is None else samples.weights
        A = np.column_stack([np.ones(len(y)), samples.X])
        c = np.linalg.lstsq(A * np.sqrt(w)[:, None], y * np.sqrt(w), rcond=None)[0]
        line = " + ".join([repr(float(c[0])), *(f"({float(a)!r})*{n}" for a, n in zip(c[1:], names, strict=True))])
        found = [parse(text, names) for text in (repr(float(np.average(y, weights=w))), line)]
        complexities = self.complexities
        if complexities is None:
            found = [expr for expr in found if options.violation(expr) is None]
            complexities = [options.complexity(expr) for expr in found]
        if not found:
            raise OptionError(f"maxsize {options.maxsize} allows not even a constant; engine 'linear' finds nothing.")
        equations = []
        for complexity, expr in zip(complexities, found, strict=True):
            error = Equation(expr, names, complexity, 0.0).predict(samples.X) - y
            equations.append(Equation(expr, names, complexity, float(np.average(error**2, weights=w))))
        info = {"model_selection": "accuracy", "engine": self.name, "stop_reason": stop_reason}
        return Front.from_candidates(equations, n_samples=len(y), **info)
