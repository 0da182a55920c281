"""An engine that knows the formulas beforehand, for tests of what becomes of equations afterwards."""

from __future__ import annotations

from typing import Any

from symtorch.engines import Engine, Progress
from symtorch.equations import Equation, Front, parse


class FormulaEngine(Engine):
    """Gives every output the same formulas, with falling losses, so that all stay on the front, one per stage."""

    name = "formula"
    takes_guesses = True

    def __init__(
        self, *formulas: str, operators: Any = (), stop_reason: str = "converged", before_report: Any = None
    ) -> None:
        self.formulas = formulas
        self.operators = operators
        self.stop_reason = stop_reason
        self.before_report = before_report or (lambda stage: None)
        self.searches: list[Any] = []

    def search(self, samples: Any, options: Any, progress: Any = None) -> Any:
        self.searches.append((samples, options))
        for stage in range(1, len(self.formulas) + 1):
            self.before_report(stage)
            if progress is not None:
                fronts = self._fronts(samples, stage, "")
                losses = tuple(front.equations[-1].loss for front in fronts)
                progress(Progress("formula", stage, len(self.formulas), losses, lambda f=fronts: f))
        return self._fronts(samples, len(self.formulas), self.stop_reason)

    def _fronts(self, samples: Any, n_formulas: int, stop_reason: str) -> Any:
        return [self._front(samples, k, n_formulas, stop_reason) for k in range(samples.n_outputs)]

    def _front(self, samples: Any, k: Any, n_formulas: int, stop_reason: str) -> Any:
        names = samples.variable_names
        equations = []
        for i, text in enumerate(self.formulas[:n_formulas]):
            expr = parse(text, names, self.operators)
            equations.append(Equation(expr, names, 3 * i + 1, 10.0**-i, source=f"as given: {text}"))
        info = {"engine": self.name, "stop_reason": stop_reason, "n_samples": samples.n_samples}
        return Front.from_candidates(equations, model_selection="accuracy", **info)
