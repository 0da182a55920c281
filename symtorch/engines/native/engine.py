"""The native engine: symtorch's own search, which runs wherever PyTorch runs."""

from __future__ import annotations

import logging
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from symtorch.engines.base import Progress, ProgressCallback
from symtorch.engines.native.fitting.losses import Loss, parse_loss
from symtorch.engines.native.fitting.precision import finite
from symtorch.engines.native.forms.normal import normalise
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.hardware import one_thread
from symtorch.engines.native.runner import Runner
from symtorch.engines.native.screening import Group, group
from symtorch.engines.native.task import Found, Task
from symtorch.engines.native.units import Units, check_sizes
from symtorch.engines.options import ENGINE_PARAMETERS, SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.expr import Constant, Expr, Variable, evaluate
from symtorch.equations.front import Equation, Front
from symtorch.equations.parser import parse
from symtorch.errors import EngineError, OptionError

logger = logging.getLogger("symtorch.engines.native")

_ROWS_AT_ONCE = 65536

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
assert _PYSR_MACHINERY <= ENGINE_PARAMETERS


class NativeEngine:
    """Bank, contexts by matrix product, Levenberg-Marquardt, refinement, cleaning: see :mod:`.flat.search`.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).uniform(1, 3, (200, 2))
    >>> samples = Samples(x, (x[:, :1] * x[:, 1:]) ** 2)
    >>> front = NativeEngine().search(samples, SearchOptions.from_params({"random_state": 0}))[0]
    >>> front.best.complexity, front.stop_reason
    (7, 'exact')
    """

    name = "native"
    takes_guesses = True  # an interrupted search goes on from what it had

    def search(self, samples: Samples, options: SearchOptions, progress: ProgressCallback | None = None) -> list[Front]:
        """One front per output; see :class:`symtorch.engines.base.Engine`.

        Within ``joblib.parallel_config`` the outputs are shared out among its workers (:mod:`.parallel`).

        Raises:
            OptionError: an option that only another engine can honour; it names both.
        """
        course = _Course(samples, options, progress)
        with one_thread():
            course.run()
        return course.fronts()


class _Course:
    """One search: its tasks, where they stand, and how to tell others of it."""

    def __init__(self, samples: Samples, options: SearchOptions, progress: ProgressCallback | None) -> None:
        self.started = time.monotonic()
        self.given, self.options, self.progress = samples, options, progress
        self.loss = check_options(options)
        self.varying = [k for k in range(samples.n_outputs) if _varies(samples.Y[:, k])]
        check_sizes(samples.Y, self.varying, self.loss)
        self.units = Units.of(samples)
        self.samples = samples = self.units.inward(samples)
        if not self.units.ordinary:  # the losses of the search are in other units than the user's goal
            options = replace(options, early_stop_condition=None)
        guesses = {k: [self.units.guess(guess, k) for guess in own] for k, own in _guesses(samples, options).items()}
        seed = options.random_state if options.random_state is not None else secrets.randbits(32)
        self.n_workers = _n_workers()
        groups = group(samples, self.varying, options.select_k_features, seed)
        members = [some for whole in groups for some in divided(whole, self.n_workers)]
        self.tasks = [Task.make(samples, some, options, guesses, seed) for some in members]
        self.found: dict[int, Found] = {}  # by the number of the task, of those that have ended
        self.under_way: Runner | None = None

    def run(self) -> None:
        """Do all tasks: in joblib's workers if there are any, and here what they leave."""
        begun: dict[int, Found] = {}
        if self.n_workers > 1 and len(self.tasks) > 1:
            from symtorch.engines.native.parallel import search_in_workers

            begun, interrupted = search_in_workers(
                self.tasks, self.samples, self.options, self.n_workers, self.left, self._keep
            )
            if interrupted:
                self.found |= begun
                return
        to_do = [number for number in range(len(self.tasks)) if number not in self.found]
        for i, number in enumerate(to_do):
            left = self.left()
            runner = Runner(
                self.tasks[number].going_on_from(begun.get(number)),
                None if left is None else left / (len(to_do) - i),
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

    def left(self) -> float | None:
        """Seconds until the time limit."""
        limit = self.options.timeout_in_seconds
        return None if limit is None else max(0.0, self.started + limit - time.monotonic())

    def fronts(self) -> list[Front]:
        """One for every output, of what there is so far."""
        seconds = time.monotonic() - self.started
        trees: dict[int, Sequence[Expr]] = {}
        reasons: dict[int, str] = {}
        for part in (*self.found.values(), *([] if self.under_way is None else [self.under_way.found()])):
            trees |= zip(part.outputs, part.trees, strict=True)
            reasons |= zip(part.outputs, part.reasons, strict=True)
        if not self.units.ordinary:
            words = Vocabulary(self.options)
            trees = {k: self.units.outward(found, k, words) for k, found in trees.items()}
        trees = {k: [tree for tree in found if _runs(tree, self.given)] for k, found in trees.items()}
        return [
            _front(self.given, self.options, self.loss, k, trees.get(k), reasons.get(k, "interrupted"), seconds)
            for k in range(self.given.n_outputs)
        ]

    def _failed(self, outputs: Sequence[int], error: Exception) -> EngineError:
        unfinished = {k for number, task in enumerate(self.tasks) if number not in self.found for k in task.outputs}
        return EngineError(
            f"the search for outputs {list(outputs)} failed ({type(error).__name__}: {error}); this error's `fronts` "
            f"are those of the outputs that were done.",
            fronts=[None if k in unfinished else front for k, front in enumerate(self.fronts())],
        )

    def _keep(self, number: int, part: Found) -> None:
        self.found[number] = part
        self._report(f"part {len(self.found)} of {len(self.tasks)}", 0, 1)

    def _report(self, stage: str, done: int, total: int) -> None:
        """Tell of steps of the task under way, of which each has equally many."""
        if self.progress is None:
            return
        best = {k: 0.0 for k in range(self.samples.n_outputs) if k not in self.varying}
        for part in self.found.values():
            best |= zip(part.outputs, part.best, strict=True)
        if self.under_way is not None:
            best |= zip(self.under_way.task.outputs, self.under_way.best, strict=True)
        losses = tuple(min(best.get(k, np.nan), 1.0) for k in range(self.samples.n_outputs))
        finished = tuple(sorted(k for part in self.found.values() for k in part.done))
        done, total = len(self.found) * total + done, len(self.tasks) * total
        self.progress(Progress(stage, None, done, total, losses, self.fronts, finished))


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
    ignored = sorted(options.extra)
    if ignored:
        logger.info("options %s speak of PySR's way of searching and have no effect on the native engine", ignored)
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
        out[k] = [normalise(parse(text, samples.variable_names, options.operators.values())) for text in texts]
    return out


def _varies(y: np.ndarray) -> bool:
    return float(np.ptp(y)) > 1e-12 * float(np.abs(y).max())


def _front(
    samples: Samples,
    options: SearchOptions,
    loss: Loss,
    k: int,
    found: Sequence[Expr] | None,
    reason: str,
    seconds: float,
) -> Front:
    """One output's front, each loss computed anew from the tree that is returned, on all rows."""
    y = samples.Y[:, k]
    trees = [Constant(float(np.average(y, weights=samples.weights)))] if found is None else found
    trees = [tree for tree in trees if options.violation(tree) is None] or _smallest(samples, options, y)
    equations = [
        Equation(tree, samples.variable_names, options.complexity(tree), _loss_on_all(tree, samples, y, loss))
        for tree in trees
    ]
    return Front.from_candidates(
        equations,
        model_selection=options.model_selection,
        engine=NativeEngine.name,
        stop_reason=reason if _varies(y) else "exact",
        n_samples=samples.n_samples,
        seconds=seconds,
    )


def _runs(tree: Expr, samples: Samples) -> bool:
    """Whether a tree is finite on all rows that count, in the type in which it will run."""
    X = samples.X if samples.weights is None else samples.X[samples.weights > 0.0]
    parts = (X[first : first + _ROWS_AT_ONCE] for first in range(0, len(X), _ROWS_AT_ONCE))
    return all(finite(tree, part, samples.dtype) for part in parts)


def _loss_on_all(tree: Expr, samples: Samples, y: np.ndarray, loss: Loss) -> float:
    total, weight = 0.0, 0.0
    for first in range(0, len(y), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        w = np.ones(len(y[part])) if samples.weights is None else samples.weights[part]
        used = w > 0.0
        with np.errstate(all="ignore"):
            losses = loss.value(evaluate(tree, samples.X[part]) - y[part])
        total += float(np.sum(np.where(used, w * losses, 0.0)))
        weight += float(w.sum())
    return total / weight


def _smallest(samples: Samples, options: SearchOptions, y: np.ndarray) -> list[Expr]:
    """The leaves, for when nothing else is allowed."""
    leaves: list[Expr] = [
        Constant(float(np.average(y, weights=samples.weights))),
        *(Variable(i) for i in range(samples.n_inputs)),
    ]
    allowed = [leaf for leaf in leaves if options.violation(leaf) is None]
    if not allowed:
        raise OptionError(
            f"maxsize {options.maxsize} allows no expression at all: a constant has complexity "
            f"{options.complexity_of_constants}, a variable {options.complexity_of_variables}."
        )
    return allowed
