"""The native engine: symtorch's own search, which runs wherever PyTorch runs."""

from __future__ import annotations

import logging
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from symtorch.engines.base import Engine, Progress, ProgressCallback
from symtorch.engines.native.baseline.least_squares import Baseline, least_squares
from symtorch.engines.native.dimensional import laws_by_dimensions
from symtorch.engines.native.fitting.archive import EXACT
from symtorch.engines.native.fitting.losses import SQUARED, Loss, parse_loss
from symtorch.engines.native.fitting.residuals import Regressions
from symtorch.engines.native.flat.watch import share_of
from symtorch.engines.native.hardware import few_collections, one_thread
from symtorch.engines.native.outcome import front_of, in_users_units, varies, with_noise
from symtorch.engines.native.runner import Runner
from symtorch.engines.native.screening import Group, group
from symtorch.engines.native.structure.beyond import told
from symtorch.engines.native.task import Found, Task
from symtorch.engines.native.units import Dimensions, Units, check_sizes
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.expr import Expr
from symtorch.equations.front import Front
from symtorch.equations.normal import normalise
from symtorch.equations.parser import parse
from symtorch.equations.verdict import Evidence
from symtorch.errors import EngineError, OptionError

logger = logging.getLogger("symtorch.engines.native")

_TOO_LARGE = 3
"""Guesses that exceed maxsize so many times are left out."""

# What says how PySR goes about its search. The native engine's way is another one, and none of these
# changes what may be found, so they are accepted and have no effect; every other parameter that only
# PySR knows is refused.
_PYSR_MACHINERY = frozenset(
    """
    populations population_size use_frequency use_frequency_in_tournament adaptive_parsimony_scaling alpha
    annealing ncycles_per_iteration fraction_replaced fraction_replaced_hof fraction_replaced_guesses
    weight_add_node weight_insert_node weight_delete_node weight_do_nothing weight_mutate_constant
    weight_mutate_operator weight_mutate_feature weight_swap_operands weight_rotate_tree weight_randomize
    weight_simplify weight_optimize weight_backsolve crossover_probability skip_mutation_failures migration
    hof_migration topn should_simplify should_optimize_constants optimizer_algorithm optimizer_nrestarts
    optimizer_f_calls_limit optimize_probability optimizer_iterations perturbation_factor
    probability_negate_constant tournament_selection_n tournament_selection_p parallelism procs
    multithreading heap_size_hint_in_bytes worker_timeout fast_cycle turbo bumper precision autodiff_backend
    enable_autodiff deterministic update_verbosity print_precision update temp_equation_file tempdir
    delete_tempfiles output_directory run_id output_jax_format output_torch_format warmup_maxsize_by
    input_stream
    """.split()
)


class NativeEngine(Engine):
    """Bank, contexts by matrix product, Levenberg-Marquardt, refinement, cleaning: see :mod:`.flat.search`.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).uniform(1, 3, (200, 2))
    >>> samples = Samples(x, (x[:, :1] * x[:, 1:]) ** 2)
    >>> front = NativeEngine().search(samples, SearchOptions.from_params({"random_state": 0}))[0]
    >>> front.best.complexity, front.stop_reason
    (7, 'exact')
    """

    name = "native"
    _dimensions: Dimensions | None = None
    takes_guesses = True
    takes_gradients = True
    parameters = _PYSR_MACHINERY

    def check(self, options: SearchOptions) -> None:
        """Raise OptionError for what only another engine can honour; it names both."""
        check_options(options)

    def bind(self, fit_params: Mapping[str, Any] | None = None, save_path: str | Path | None = None) -> Engine:
        """This engine with units: ``X_units``, a list with one per input, and ``y_units``, one or one per output.

        No equation that it returns is wrong in their dimensions; see :mod:`symtorch.equations.dimensions`.
        """
        rest = dict(fit_params or {})
        known = ((name, rest.pop(name, None)) for name in ("X_units", "y_units"))
        units = {name: given for name, given in known if given is not None}
        super().bind(rest, save_path)
        if not units:
            return self
        bound = NativeEngine()
        bound._dimensions = Dimensions.of(units.get("X_units"), units.get("y_units"))
        return bound

    def search(self, samples: Samples, options: SearchOptions, progress: ProgressCallback | None = None) -> list[Front]:
        """One front per output; see :class:`symtorch.engines.base.Engine`.

        Within ``joblib.parallel_config`` the outputs are shared out among its workers (:mod:`.parallel`).

        Raises:
            OptionError: an option that only another engine can honour; it names both.
        """
        if self._dimensions is not None:
            self._dimensions.check(samples)
        with one_thread(), few_collections():
            course = _Course(samples, options, progress, self._dimensions)
            course.run()
            return course.last_fronts()


class _Course:
    """One search: its tasks, where they stand, and how to tell others of it."""

    def __init__(
        self,
        samples: Samples,
        options: SearchOptions,
        progress: ProgressCallback | None,
        dimensions: Dimensions | None = None,
    ) -> None:
        self.started = time.monotonic()
        self.dimensions = dimensions
        self.given, self.options, self.progress = samples, options, progress
        self.loss = check_options(options)
        if samples.gradients is not None and not self.loss.of_residual:
            raise OptionError(
                "derivatives are given as fit_params['gradients'], to which an elementwise_loss applies as to the "
                "outputs; it must depend on prediction - target alone then."
            )
        if options.extra:
            logger.info("options %s have no effect: how PySR goes about its search", sorted(options.extra))
        self.varying = [k for k in range(samples.n_outputs) if varies(samples.Y[:, k])]
        check_sizes(samples.Y, self.varying, self.loss)
        self.units = Units.of(samples)
        self.samples = samples = self.units.inward(samples)
        if not self.units.ordinary:  # the losses of the search are in other units than the user's goal
            self.options = options = replace(options, early_stop_condition=None)
        self.guesses = {
            k: [self.units.guess(guess, k) for guess in own] for k, own in _guesses(samples, options).items()
        }
        self.seed = options.random_state if options.random_state is not None else secrets.randbits(32)
        self.n_workers = _n_workers()
        self.baseline = Baseline.none(samples.n_outputs)
        self.groups: list[Group] = []  # each a task, which is made when its turn comes: a thousand take seconds
        self.found: dict[int, Found] = {}  # by the number of the task, of those that have ended
        self.under_way: Runner | None = None
        self.varies = np.isin(np.arange(samples.n_outputs), self.varying)
        self.best = np.ones(samples.n_outputs)  # of the tasks that have ended, as reports go; `told` are those counted
        self.told: set[int] = set()
        self.finished: set[int] = set()

    def run(self) -> None:
        """Least squares for every output, then the search for what it leaves."""
        try:
            groups = self._begin()
            self._heed_dimensions()
            self._report("least squares", 0, 1)  # so that whoever keeps fronts has some, should the process be killed
        except KeyboardInterrupt:
            return
        self.groups = [some for whole in groups for some in divided(whole, self.n_workers)]
        self._search()

    def _begin(self) -> list[Group]:
        """Least squares on all inputs; what is left to be searched for, on the inputs that matter."""
        k, chosen = self.options.select_k_features, None
        if k is not None and k < self.samples.n_inputs:  # the user wants no others, for nothing
            groups = group(self.samples, self.varying, k, self.seed, self.out_of_time)
            chosen = [(g.outputs, g.columns) for g in groups]
        self.baseline = least_squares(self.samples, self.options, self.loss, self.left(), self.seed, chosen)
        open_ = [k for k in self.varying if k not in self.baseline.solved]
        if chosen is None:
            return group(self.samples, open_, k, self.seed, self.out_of_time)
        left = [Group(tuple(k for k in g.outputs if k in open_), g.columns) for g in groups]
        return [g for g in left if g.outputs]

    def _heed_dimensions(self) -> None:
        """Of rows alone, guesses by the dimensions of inputs and outputs; a block is asked for its structure anyway."""
        if self.dimensions is None or self.samples.teacher is not None:
            return
        for i, k in enumerate(self.varying):
            if k not in self.baseline.solved:
                left = self.left()
                seconds = None if left is None else share_of(left, len(self.varying) - i)
                self.guesses[k] += laws_by_dimensions(
                    self.samples, k, self.dimensions, self.options, seconds, self.seed
                )

    def _search(self) -> None:
        """Do all tasks: in joblib's workers if there are any, and here what they leave."""
        begun: dict[int, Found] = {}
        if self.options.timeout_in_seconds is not None:  # what is worst off comes first, should time not suffice
            self.groups.sort(key=lambda group: -max(self.baseline.left[k] for k in group.outputs))
        if self.n_workers > 1 and len(self.groups) > 1 and not self.out_of_time():
            from symtorch.engines.native.parallel import search_in_workers

            tasks = [self._task(number) for number in range(len(self.groups))]
            begun, interrupted = search_in_workers(
                tasks, self.samples, self.options, self.n_workers, self.left, self._keep
            )
            if interrupted:
                self.found |= begun
                return
        to_do = [number for number in range(len(self.groups)) if number not in self.found]
        for i, number in enumerate(to_do):
            if self.out_of_time():
                self.found |= {n: begun[n] for n in to_do[i:] if n in begun}
                return
            left = self.left()
            runner = Runner(
                self._task(number).going_on_from(begun.get(number)),
                None if left is None else share_of(left, len(to_do) - i),
                self._report,
            )
            self.under_way = runner
            try:
                runner.run()
            except Exception as error:
                self.under_way = None
                if not self.found:
                    raise
                raise self._failed(runner.task.outputs, error) from error
            self.under_way = None
            self.found[number] = runner.found()
            if runner.interrupted:
                return

    def _task(self, number: int) -> Task:
        return Task.make(self.samples, self.groups[number], self.options, self.guesses, self.seed)

    def left(self) -> float | None:
        """Seconds until the time limit."""
        limit = self.options.timeout_in_seconds
        return None if limit is None else max(0.0, self.started + limit - time.monotonic())

    def out_of_time(self) -> bool:
        return self.left() == 0.0

    def fronts(self) -> list[Front]:
        """One for every output, of what there is so far."""
        seconds = time.monotonic() - self.started
        trees: dict[int, Sequence[Expr]] = {}
        reasons: dict[int, str] = {}
        evidence: dict[int, Evidence] = {}
        beyond: dict[int, Expr | None] = {}
        for part in (*self.found.values(), *([] if self.under_way is None else [self.under_way.found()])):
            trees |= zip(part.outputs, part.trees, strict=True)
            reasons |= zip(part.outputs, part.reasons, strict=True)
            evidence |= zip(part.outputs, part.evidence, strict=True)
            beyond |= zip(part.outputs, part.beyond, strict=True)
        unreached = "timeout" if self.out_of_time() else "interrupted"
        exact = {k for k in range(self.samples.n_outputs) if k not in self.varying or k in self.baseline.solved}
        reasons = {k: "exact" for k in range(self.samples.n_outputs) if self.baseline.left[k] < EXACT} | reasons
        found, written = in_users_units(trees, self.baseline.equations, self.units, self.given, self.options, self.loss)
        for k in range(self.samples.n_outputs) if self.dimensions is not None else ():
            trees_of, written_of = found.get(k, []), written[k]
            found[k] = [tree for tree in trees_of if self._is_right(tree, k)]
            written[k] = [own for own in written_of if self._is_right(own.tree, k)]
            if len(found[k]) + len(written[k]) < len(trees_of) + len(written_of) and k in self.varying:
                exact -= {k}  # what is left need not be
                reasons[k] = "converged" if reasons.get(k) == "exact" or k not in reasons else reasons[k]
        fronts = [
            front_of(
                self.given,
                self.options,
                self.loss,
                k,
                found.get(k, ()),
                written[k],
                engine=NativeEngine.name,
                reason="exact" if k in exact else reasons.get(k, unreached),
                seconds=seconds,
                is_right=partial(self._is_right, k=k),
            )
            for k in range(self.samples.n_outputs)
        ]
        known = [
            replace(evidence.get(k, Evidence()), beyond=self._told(beyond.get(k), k))
            for k in range(self.samples.n_outputs)
        ]
        if not self.units.ordinary:  # it is told in other units than the user's
            known = [replace(of, structure=None) for of in known]
        if self.loss is SQUARED:
            known = [replace(of, variance=self.given.variance(k)) for k, of in enumerate(known)]
        return [_with_evidence(front, of) for front, of in zip(fronts, known, strict=True)]

    def last_fronts(self) -> list[Front]:
        """The fronts of what there is in the end, with what their residuals show."""
        fronts = self.fronts()
        regressions = cache(lambda: Regressions.on(self.given.X))
        return [with_noise(front, self.given, k, regressions, self.loss) for k, front in enumerate(fronts)]

    def _told(self, law: Expr | None, k: int) -> str:
        """What is said of a law for output k that the options can't write."""
        if law is None or not self.units.ordinary or not self._is_right(law, k):
            return ""
        return told(law, self.given.variable_names, self.options)

    def _is_right(self, tree: Expr, k: int) -> bool:
        """Whether a tree for output k has the dimensions that the user named."""
        return self.dimensions is None or self.dimensions.are_right(tree, self.given, k)

    def _failed(self, outputs: Sequence[int], error: Exception) -> EngineError:
        unfinished = {k for n, group in enumerate(self.groups) if n not in self.found for k in group.outputs}
        return EngineError(
            f"the search for outputs {list(outputs)} failed ({type(error).__name__}: {error}); this error's `fronts` "
            f"are those of the outputs that were done.",
            fronts=[None if k in unfinished else front for k, front in enumerate(self.fronts())],
        )

    def _keep(self, number: int, part: Found) -> None:
        self.found[number] = part
        self._report(f"part {len(self.found)} of {len(self.groups)}", 0, 1)

    def _report(self, stage: str, done: int, total: int) -> None:
        """Tell of steps of the task under way, of which each has equally many."""
        if self.progress is None:
            return
        # There may be thousands of outputs and as many tasks, of which each reports: what has ended is counted once.
        for number, part in self.found.items():
            if number not in self.told:
                self.told.add(number)
                self.finished |= set(part.done)
                _lower(self.best, part.outputs, part.best)
        best = np.fmin(self.best, self.baseline.left)
        if self.under_way is not None:
            _lower(best, self.under_way.task.outputs, self.under_way.best)
        n_tasks = max(1, len(self.groups))
        done, total = len(self.found) * total + done, n_tasks * total
        best = np.where(self.varies, np.fmin(best, 1.0), 0.0)
        finished = tuple(sorted(self.finished | self.baseline.solved))
        self.progress(Progress(stage, done, total, tuple(best.tolist()), self.fronts, finished))


def _lower(best: np.ndarray, outputs: Sequence[int], losses: Sequence[float]) -> None:
    """Put in these losses of some outputs where they are less."""
    some = list(outputs)
    best[some] = np.fmin(best[some], losses)


def _with_evidence(front: Front, evidence: Evidence) -> Front:
    """The front with its evidence; what was exact on the rows that were searched may not be so on all."""
    reason, variance = front.stop_reason, evidence.variance
    if reason == "exact" and variance and min(eq.loss for eq in front) > 1e3 * EXACT * variance:
        reason = "converged"
    return replace(front, stop_reason=reason, evidence=evidence)


def _n_workers() -> int:
    """How many workers the user has joblib use: 1, this process, where nobody has imported it."""
    joblib = sys.modules.get("joblib")
    return 1 if joblib is None else int(joblib.effective_n_jobs(None))


def divided(whole: Group, n: int) -> list[Group]:
    """The outputs of a group in at most n smaller ones."""
    return [Group(whole.outputs[i::n], whole.columns) for i in range(min(n, len(whole.outputs)))]


def check_options(options: SearchOptions) -> Loss:
    """The loss that the options ask for; raises OptionError for what this engine can't honour."""
    for name in options.extra:
        if name not in _PYSR_MACHINERY:
            raise OptionError(f'the native engine can\'t honour search option {name!r}; engine="pysr" can.')
    if isinstance(options.early_stop_condition, str):
        raise OptionError(
            f"early_stop_condition is {options.early_stop_condition!r}; the native engine takes a number. "
            f'engine="pysr" takes a Julia function.'
        )
    return parse_loss(options.elementwise_loss)


def _guesses(samples: Samples, options: SearchOptions) -> dict[int, list[Expr]]:
    given = options.guesses or ()
    per_output = list(given) if given and not isinstance(given[0], str) else [given] * samples.n_outputs
    if len(per_output) != samples.n_outputs:
        raise OptionError(f"guesses has {len(per_output)} lists for {samples.n_outputs} outputs; give one per output.")
    out: dict[int, list[Expr]] = {}
    for k, texts in enumerate(per_output):
        trees = [parse(text, samples.variable_names, options.operators.values()) for text in texts]
        # What is far too large can't be made to fit; least squares finds its like by itself.
        out[k] = [normalise(tree) for tree in trees if options.complexity(tree) <= _TOO_LARGE * options.maxsize]
    return out
