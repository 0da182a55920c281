"""What PySR's runs have found, as progress reports and as fronts."""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from symtorch.engines.base import Progress, ProgressCallback
from symtorch.engines.options import SearchOptions
from symtorch.engines.pysr.pool import Run
from symtorch.engines.pysr.results import Row, parse_equation
from symtorch.engines.samples import Samples
from symtorch.equations.expr import Constant, Expr, evaluate
from symtorch.equations.front import Equation, Front
from symtorch.equations.r2 import unexplained
from symtorch.equations.show import shortened
from symtorch.errors import EngineError, ParseError

logger = logging.getLogger("symtorch.engines.pysr")

_SECONDS_BETWEEN_REPORTS = 1.0


class Judge:
    """Reads the equations of a search and says how good they are on its samples."""

    def __init__(self, samples: Samples, options: SearchOptions) -> None:
        self._samples = samples
        self._options = options
        self._trees: dict[tuple[int, str], Expr | None] = {}
        self._losses: dict[tuple[int, str], float] = {}
        self._unread: dict[int, str] = {}

    # ---- equations

    def equations(self, run: Run) -> list[Equation]:
        """Those of a run that can be read; the others are logged."""
        found = []
        for row in run.rows:
            expr = self._tree(run, row)
            if expr is not None:
                names = self._samples.variable_names
                found.append(Equation(expr, names, row.complexity, row.loss, source=row.text))
        return found

    def _tree(self, run: Run, row: Row) -> Expr | None:
        key = (run.request.output, row.text)
        if key not in self._trees:
            try:
                self._trees[key] = parse_equation(
                    row.text, self._samples.variable_names, run.request.operators, run.template
                )
            except ParseError as error:
                logger.warning("equation %r of PySR can't be read: %s", shortened(row.text), error)
                self._trees[key] = None
                self._unread[run.request.output] = str(error)
        return self._trees[key]

    def _relative_loss(self, run: Run) -> float:
        """1 - R² of the best equation so far; NaN if there is none."""
        rows = [row for row in run.rows if math.isfinite(row.loss)]
        if not rows:
            return math.nan
        best = min(rows, key=lambda row: row.loss)
        key = (run.request.output, best.text)
        if key not in self._losses:
            expr = self._tree(run, best)
            self._losses[key] = math.nan if expr is None else self._one_minus_r2(expr, run.request.output)
        return self._losses[key]

    def _one_minus_r2(self, expr: Expr, output: int) -> float:
        predicted = evaluate(expr, self._samples.X)
        return unexplained(self._samples.Y[:, output], predicted, self._samples.weights)

    def _constant(self, output: int) -> Equation:
        """The best constant: what there is before anything has been found."""
        y, w = self._samples.Y[:, output], self._samples.weights
        mean = float(np.average(y, weights=w))
        expr = Constant(mean)
        loss = float(np.average((y - mean) ** 2, weights=w))
        return Equation(expr, self._samples.variable_names, self._options.complexity(expr), loss)

    # ---- progress

    def reporter(self, progress: ProgressCallback | None) -> Callable[[Sequence[Run]], None]:
        """What turns news of the runs into reports, not too often."""
        last = -math.inf

        def report(runs: Sequence[Run]) -> None:
            nonlocal last
            ended = all(run.reason for run in runs)
            if progress is None or (time.monotonic() < last + _SECONDS_BETWEEN_REPORTS and not ended):
                return
            last = time.monotonic()
            shares = [1.0 if run.reason else run.done / run.total if run.total else 0.0 for run in runs]
            total = 1000 * len(runs)
            losses = tuple(self._relative_loss(run) for run in runs)
            snapshot = list(runs)
            finished = tuple(i for i, run in enumerate(runs) if run.reason in ("budget", "converged"))
            done = round(1000 * sum(shares))
            progress(Progress("pysr", done, total, losses, lambda: self._so_far(snapshot), finished))

        return report

    def _so_far(self, runs: Sequence[Run]) -> list[Front]:
        return [self._front(run, self.equations(run) or [self._constant(run.request.output)], 0.0) for run in runs]

    # ---- the end

    def fronts(self, runs: Sequence[Run], seconds: float, keep: bool) -> list[Front]:
        """The fronts of runs that have ended.

        Raises:
            EngineError: a run crashed before it found anything, or nothing that it found can be read.
        """
        fronts: list[Front | None] = []
        problems = []
        for run in runs:
            equations = self.equations(run)
            output, folder = run.request.output, str(run.request.run_folder) if keep else ""
            if run.rows and not equations:
                kept = run.request.run_folder if keep else _rescued(run.request.run_folder)
                problems.append(
                    f"output {output}: none of its {len(run.rows)} equations can be read as a formula of the "
                    f"inputs, such as {shortened(run.rows[-1].text)!r}: {self._unread[output]} "
                    f"PySRRegressor.from_file(run_directory={str(kept)!r}) reads the run."
                )
            elif not equations and run.reason in ("timeout", "interrupted"):
                logger.warning("PySR was stopped before it found anything for output %d; it gets a constant", output)
                equations = [self._constant(output)]
            elif not equations:
                problems.append(f"output {output}: {run.problem or 'it found no equation.'}")
            elif run.problem:
                logger.warning("PySR failed for output %d; kept is what it had found: %s", output, run.problem)
            fronts.append(self._front(run, equations, seconds, folder) if equations else None)
        if problems:
            raise EngineError("PySR failed for " + "\n".join(problems), fronts=fronts)
        return [front for front in fronts if front is not None]

    def _front(self, run: Run, equations: list[Equation], seconds: float, folder: str | Path = "") -> Front:
        return Front.from_candidates(
            equations,
            model_selection=self._options.model_selection,
            engine="pysr",
            stop_reason=run.reason,
            n_samples=self._samples.n_samples,
            seconds=seconds,
            folder=str(folder),
        )


def _rescued(folder: Path) -> Path:
    """A run folder, taken out of the temporary folder that is about to go."""
    kept = Path(tempfile.mkdtemp(prefix="symtorch-pysr-kept-")) / folder.name
    shutil.copytree(folder, kept)
    return kept
