"""PySR as an engine."""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from symtorch.engines.base import Availability, Engine, ProgressCallback
from symtorch.engines.options import SearchOptions
from symtorch.engines.pysr import parameters, readiness, signature
from symtorch.engines.pysr.fronts import Judge
from symtorch.engines.pysr.pool import Limits, Pool
from symtorch.engines.samples import Samples
from symtorch.equations.front import Front
from symtorch.errors import EngineError, OptionError

logger = logging.getLogger("symtorch.engines.pysr")


LEAST_MAXSIZE = 7
"""PySR's own limit."""


@dataclass(frozen=True)
class PySREngine(Engine):
    """PySR (Cranmer 2023, arXiv 2305.01582), in processes of its own; needs Julia.

    All of PySRRegressor's parameters are taken from the search options as they are, except that its
    printing goes to a log. ``progress`` and ``verbosity`` steer symtorch's own bar instead.

    Attributes:
        params: parameters for PySRRegressor beside those of the options, which they override.
        fit_params: for ``PySRRegressor.fit``: X_units, y_units, complexity_of_variables, ...
        save_path: folder in which PySR's own run folders stay (``PySRRegressor.from_file`` reads
            them); None to keep them nowhere, unless ``output_directory`` is among the parameters.
        max_workers: how many outputs are searched at once; None for one per four cores.
        limits: how patient to be with the processes.
    """

    name: ClassVar[str] = "pysr"
    parameters: ClassVar[frozenset[str]] = signature.PARAMETERS
    params: Mapping[str, Any] = field(default_factory=dict)
    fit_params: Mapping[str, Any] = field(default_factory=dict)
    save_path: str | Path | None = None
    max_workers: int | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def takes_guesses(self) -> bool:
        """Whether the installed PySR starts from guesses (since version 2)."""
        try:
            return "guesses" in signature.installed().init
        except EngineError:
            return False

    @classmethod
    def from_regressor(cls, regressor: Any) -> PySREngine:
        """An engine with the parameters of a PySRRegressor object."""
        return cls(params=regressor.get_params(deep=False))

    def bind(self, fit_params: Mapping[str, Any] | None = None, save_path: str | Path | None = None) -> PySREngine:
        """The same engine with these fit parameters, and this folder for PySR's runs."""
        fit_params = {**self.fit_params, **(fit_params or {})}
        return replace(self, fit_params=fit_params, save_path=save_path or self.save_path)

    def availability(self) -> Availability:
        """Whether a search would start at once; reads files only."""
        found = readiness.check()
        return Availability(found.ready, found.reason)

    def check(self, options: SearchOptions) -> None:
        """Raise for whatever can be known to be wrong before there is data.

        Where PySR's Julia side is not resolved yet, PySR is asked to do that now.

        Raises:
            OptionError: a parameter that the installed PySR does not have.
            EngineError: PySR or Julia is missing and can't be installed; says why and what to do.
        """
        self._checked(options)
        if not readiness.is_ready():
            logger.info("PySR sets up its Julia side; the first time that takes some minutes")
            with (
                tempfile.TemporaryDirectory(prefix="symtorch-pysr-") as folder,
                Pool(Path(folder), 1, self.limits) as pool,
            ):
                pool.start_one()

    def _checked(self, options: SearchOptions) -> dict[str, Any]:
        if callable(options.elementwise_loss):
            raise OptionError(
                "search option 'elementwise_loss' is a Python function, which Julia can't call; engine='native' takes "
                "it. PySR takes the name of a loss, or Julia's text: 'loss(x, y) = abs(x - y)^1.5'."
            )
        params = parameters.merged(options, self.params)
        signature.installed().check(params, self.fit_params)
        parameters.custom_operators(params)
        if options.maxsize < LEAST_MAXSIZE:
            raise OptionError(
                f"search option 'maxsize' is {options.maxsize}; PySR takes {LEAST_MAXSIZE} or more, "
                f"engine='native' less."
            )
        return params

    def search(self, samples: Samples, options: SearchOptions, progress: ProgressCallback | None = None) -> list[Front]:
        """One front per output; see :class:`symtorch.engines.Engine`.

        Raises:
            OptionError: a parameter that the installed PySR does not have.
            EngineError: PySR can't start, or died before it found anything; the fronts of the other
                outputs are in the error's ``fronts``.
        """
        params = self._checked(options)
        parameters.check_rows(self.fit_params, samples.n_samples)
        began = time.monotonic()
        with _temporary() as folder:
            requests = parameters.requests(
                params,
                self.fit_params,
                samples.n_outputs,
                self._run_ids(params, samples.n_outputs),
                self._directory(params, Path(folder)),
            )
            with Pool(Path(folder), self._n_workers(params, samples.n_outputs), self.limits) as pool:
                judge = Judge(samples, options)
                runs = pool.run(requests, samples, options.timeout_in_seconds, judge.reporter(progress))
            return judge.fronts(runs, time.monotonic() - began, keep=self._keeps(params))

    def _keeps(self, params: Mapping[str, Any]) -> bool:
        """Whether PySR's run folders outlive the search."""
        return bool(self.save_path or params.get("output_directory")) and not params.get("temp_equation_file")

    def _directory(self, params: Mapping[str, Any], temporary: Path) -> Path:
        if not self._keeps(params):
            return temporary / "runs"
        return Path(params.get("output_directory") or str(self.save_path)).expanduser().absolute()

    def _run_ids(self, params: Mapping[str, Any], n_outputs: int) -> list[str]:
        run_id = params.get("run_id") or f"{time.strftime('%Y%m%d_%H%M%S')}_{secrets.token_hex(3)}"
        return [str(run_id)] if n_outputs == 1 else [f"{run_id}_output{i}" for i in range(n_outputs)]

    def _n_workers(self, params: Mapping[str, Any], n_outputs: int) -> int:
        if self.max_workers is not None:
            return max(1, min(self.max_workers, n_outputs))
        if params.get("cluster_manager") or params.get("parallelism") == "multiprocessing":
            return 1  # PySR spreads that run itself
        return max(1, min(n_outputs, (os.cpu_count() or 1) // 4))


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="symtorch-pysr-", ignore_cleanup_errors=True)
