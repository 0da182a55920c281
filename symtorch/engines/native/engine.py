"""The native engine: symtorch's own search, which runs wherever PyTorch runs."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from symtorch.engines.base import Progress, ProgressCallback
from symtorch.engines.native.archive import Archive
from symtorch.engines.native.asking import ask_teacher, close_at_bend, close_solved
from symtorch.engines.native.fit import Rows, fit
from symtorch.engines.native.losses import Loss, parse_loss
from symtorch.engines.native.normal import normalise
from symtorch.engines.native.screen import Group, group
from symtorch.engines.native.search import Budget, FlatSearch
from symtorch.engines.native.vocabulary import Vocabulary
from symtorch.equations.expr import Constant, Expr, Variable, evaluate, substitute, variables
from symtorch.equations.front import Equation, Front
from symtorch.equations.parser import parse
from symtorch.errors import OptionError
from symtorch.options import ENGINE_PARAMETERS, SearchOptions
from symtorch.samples import MIN_SAMPLES, Samples

logger = logging.getLogger("symtorch.engines.native")

FULL_BUDGET = 400
"""``niterations`` that stand for the full budget (the library's default)."""

_FULL_ROUNDS = 24
_FIT_ROWS = 4096
_POLISH_ROWS = 65536
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
    """Bank, contexts by matrix product, Levenberg-Marquardt, refinement, cleaning: see :mod:`.search`.

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

        Raises:
            OptionError: an option that only another engine can honour; it names both.
        """
        started = time.monotonic()
        loss = check_options(options)
        guesses = _guesses(samples, options)
        seed = options.random_state if options.random_state is not None else secrets.randbits(32)
        varying = [k for k in range(samples.n_outputs) if _varies(samples.Y[:, k])]
        groups = group(samples, varying, options.select_k_features, seed)
        parts: list[_Part] = []

        def fronts() -> list[Front]:
            seconds = time.monotonic() - started
            done = {k: part for part in parts for k in part.outputs}
            return [_front(samples, options, loss, k, done.get(k), seconds) for k in range(samples.n_outputs)]

        def report(stage: str, done: int, total: int) -> None:
            if progress is not None:
                best = {k: part.archive(k).best for part in parts for k in part.outputs}
                best |= {k: 0.0 for k in range(samples.n_outputs) if k not in varying}
                losses = tuple(min(best.get(k, np.nan), 1.0) for k in range(samples.n_outputs))
                before = (len(parts) - 1) * total
                progress(Progress(stage, None, before + done, len(groups) * total, losses, fronts))

        with _one_thread():
            for i, members in enumerate(groups):
                seconds = None
                if options.timeout_in_seconds is not None:
                    seconds = max(0.0, started + options.timeout_in_seconds - time.monotonic()) / (len(groups) - i)
                part = _Part(samples, members, options, loss, guesses, seed, seconds, report)
                parts.append(part)
                part.run()
                if part.search.stop_reason == "interrupted":
                    break
        return fronts()


class _Part:
    """The search for some outputs on some inputs, from the samples' rows to the archives and back.

    Attributes:
        outputs, columns: columns of the samples' Y and X.
        search: over these outputs and inputs only.
    """

    def __init__(
        self,
        samples: Samples,
        members: Group,
        options: SearchOptions,
        loss: Loss,
        guesses: dict[int, list[Expr]],
        seed: int,
        seconds: float | None,
        report: Callable[[str, int, int], None],
    ) -> None:
        self.outputs = members.outputs
        mentioned = {i for k in self.outputs for guess in guesses[k] for i in variables(guess)}
        self.columns = tuple(sorted({*members.columns, *mentioned}))
        self.options = _for_columns(options, self.columns, samples.n_inputs)
        self.samples = _with_columns(samples, self.columns)
        self.seed = seed
        self.loss = loss
        rows = _rows_to_fit(samples, options, seed)
        self.fitted = self.samples.take(rows) if len(rows) < samples.n_samples else self.samples
        budget = Budget(
            rounds=round(_FULL_ROUNDS * options.niterations / FULL_BUDGET),
            goal=float(options.early_stop_condition or 0.0),
            seconds=seconds,
        )
        self.search = FlatSearch(
            self.fitted.X,
            self.fitted.Y[:, list(self.outputs)],
            Vocabulary(self.options),
            budget,
            self.fitted.weights,
            loss,
            seed,
            _device(),
            report,
        )
        self._guesses = [[_renumbered(guess, self.columns) for guess in guesses[k]] for k in self.outputs]

    def run(self) -> None:
        """Structure by asking where there is a teacher, then the flat search, then a fit to more rows."""
        try:
            for position, exprs in enumerate(self._guesses):
                self.search.offer(position, exprs)
            if self.samples.teacher is not None:
                found = ask_teacher(self.search, self.fitted, self.outputs, self.options, self.seed)
                self.search.sketch()
                close_solved(self.search, found)
                self.search.after_round = lambda: close_at_bend(self.search, found)
        except KeyboardInterrupt:
            self.search.stop_reason = "interrupted"
        else:
            self.search.run()
        if len(self.fitted.X) < len(self.samples.X):
            _polish(self.search.archives, self.samples, self.outputs, self.loss, self.seed)

    def archive(self, k: int) -> Archive:
        return self.search.archives[self.outputs.index(k)]

    def trees(self, k: int) -> list[Expr]:
        """The front of output ``k``, over the samples' own columns."""
        inputs = [Variable(i) for i in self.columns]
        return [substitute(candidate.tree, inputs) for candidate in self.archive(k).pareto()]


def _for_columns(options: SearchOptions, columns: Sequence[int], n_inputs: int) -> SearchOptions:
    costs = options.complexity_of_variables
    if not isinstance(costs, tuple):
        return options
    if len(costs) != n_inputs:
        raise OptionError(f"complexity_of_variables has {len(costs)} numbers for {n_inputs} inputs.")
    return replace(options, complexity_of_variables=tuple(costs[i] for i in columns))


def _with_columns(samples: Samples, columns: Sequence[int]) -> Samples:
    """The samples with these inputs only; the teacher is asked with the others at their medians."""
    if len(columns) == samples.n_inputs:
        return samples
    chosen = list(columns)
    names = tuple(samples.variable_names[i] for i in chosen)
    reference, whole = np.median(samples.X, axis=0), samples.teacher

    def teacher(Z: np.ndarray) -> np.ndarray:
        assert whole is not None
        X = np.tile(reference, (len(Z), 1))
        X[:, chosen] = Z
        return whole(X)

    X = samples.X[:, chosen]
    return replace(samples, X=X, variable_names=names, teacher=None if whole is None else teacher)


def _renumbered(expr: Expr, columns: Sequence[int]) -> Expr:
    place = {column: Variable(i) for i, column in enumerate(columns)}
    return substitute(expr, [place.get(i, Variable(i)) for i in range(max(columns) + 1)])


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


def _rows_to_fit(samples: Samples, options: SearchOptions, seed: int) -> np.ndarray:
    """Rows that the search fits to: all where there are few, else a random part; none of weight 0."""
    limit = _FIT_ROWS
    if options.batching is True:
        limit = max(100, options.batch_size or 1000)
    rows = np.arange(samples.n_samples)
    if samples.weights is not None and np.count_nonzero(samples.weights) >= MIN_SAMPLES:
        rows = rows[samples.weights > 0.0]
    if len(rows) > limit:
        rows = np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))
    return rows


def _varies(y: np.ndarray) -> bool:
    return float(np.ptp(y)) > 1e-12 * float(np.abs(y).max())


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def _one_thread() -> Iterator[None]:
    """The products are small: a second thread costs more than it brings."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _polish(archives: Sequence[Archive], samples: Samples, outputs: Sequence[int], loss: Loss, seed: int) -> None:
    """Refit the fronts on more rows than the search could afford."""
    rng = np.random.default_rng(seed + 1)
    n = samples.n_samples
    rows = np.arange(n) if n <= _POLISH_ROWS else np.sort(rng.choice(n, _POLISH_ROWS, replace=False))
    part = samples.take(rows)
    for archive, k in zip(archives, outputs, strict=True):
        data = Rows.of(part.X, part.Y[:, k], part.weights)
        for complexity, candidate in list(archive.front.items()):
            expr, found = fit(candidate.expr, data, loss, 5)
            tree = archive.words.legal(expr)
            if tree is not None and np.isfinite(found) and archive.words.options.complexity(tree) == complexity:
                archive.front[complexity] = type(candidate)(expr, tree, complexity, found / archive.scale)


def _front(samples: Samples, options: SearchOptions, loss: Loss, k: int, part: _Part | None, seconds: float) -> Front:
    """What was found as a front, each loss computed anew from the tree that is returned, on all rows."""
    y = samples.Y[:, k]
    constant = not _varies(y)
    trees: list[Expr] = [Constant(float(np.average(y, weights=samples.weights)))] if part is None else part.trees(k)
    trees = [tree for tree in trees if options.violation(tree) is None] or _smallest(samples, options, y)
    equations = [
        Equation(tree, samples.variable_names, options.complexity(tree), _loss_on_all(tree, samples, y, loss))
        for tree in trees
    ]
    if constant or (part is not None and part.archive(k).is_exact):
        reason = "exact"
    else:
        reason = "interrupted" if part is None else part.search.stop_reason
    return Front.from_candidates(
        equations,
        model_selection=options.model_selection,
        engine=NativeEngine.name,
        stop_reason=reason,
        n_samples=samples.n_samples,
        seconds=seconds,
    )


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
