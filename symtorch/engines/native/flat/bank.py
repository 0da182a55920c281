"""The bank: all short expressions, smallest first, as value vectors on a few sample rows.

Building blocks are enumerated once and shared by every output and every stage; an expression is only
its parents' numbers, what was done to them, and its values. Two expressions with the same values up
to a factor are the same (parallel symbolic enumeration, doi 10.1038/s43588-025-00904-8), which is
found by hashing random projections of the standardised values.

Beside the enumeration the bank holds a grid of what constants inside make possible, such as
``sin(2.5*x)``, ``exp(-0.7*x)``, ``1/(x^2 + 0.4)`` and each of these times a variable: close enough to
be recognised, after which the fit finds the exact constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from symtorch.engines.native.flat.tuning import BankTuning
from symtorch.engines.native.forms.productions import Binary, Unary, binaries, unaries
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.tuning import current
from symtorch.equations import normal
from symtorch.equations.expr import Constant, Expr, Variable
from symtorch.equations.table import Row

_UNKNOWN = Row("", 1, "", "", "", "")
"""What is known of a user's own operator: nothing."""
_CHUNK = 4_000_000
"""Values (rows times expressions) that are made at once: 16 MB of float32, which caches nearly hold."""
_LARGEST = 1e6
"""Values above this, or all below its inverse, are not kept: their squares and cubes must fit into float32."""
_FLAT = 1e-5
"""Variation, relative to the largest value, below which float32 sees a constant."""


class Bank:
    """Distinct expressions over the columns of X.

    Attributes:
        raw: (n, n_rows) float32, their values.
        cost: (n,) about what they add to the complexity in the user's operators.
        order: the expressions by rising cost.
        unit: (n_rows, m) float32, values shifted and scaled to mean 0 and mean square 1, of those
            expressions that differ by more than that, by rising cost; ``unit_squared`` its squares.
        grid: those that are functions of one input with a constant inside.
        unit_index: (m,) which expression each column of ``unit`` is.

    It is made until ``stop()`` says that time is up, and holds what there is by then.
    """

    def __init__(
        self,
        X: np.ndarray,
        words: Vocabulary,
        size: int,
        max_level: int,
        device: torch.device,
        seed: int = 0,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.words = words
        self._stop = stop
        self.tuning = current(BankTuning)
        self.device = device
        # Inputs far from 1 enter in units of a power of ten, so that float32 holds what is made of them.
        self._units = [_unit_of(column) for column in X.T]
        scaled = np.ascontiguousarray((X / np.array(self._units)).T)
        self._values = torch.as_tensor(scaled, dtype=torch.float32, device=device)
        self.n_inputs, self.n_rows = self._values.shape
        generator = torch.Generator().manual_seed(seed % (1 << 63))  # it takes no larger ones; NumPy does
        # Types and devices are named everywhere: the user may have set other defaults.
        projection = torch.randn(self.n_rows, 3, generator=generator, dtype=torch.float32, device="cpu")
        self._projection = projection.to(device)
        self._rng = np.random.default_rng(seed)
        self._size = size
        self._raw = torch.empty(size, self.n_rows, dtype=torch.float32, device=device)
        self._seen = np.zeros(0, np.int64)
        self._trees: dict[int, Expr] = {}
        self._ways: list[Unary | Binary | Callable[[], Expr]] = []
        self._way = np.zeros(size, np.int32)
        self._a = np.full(size, -1, np.int32)
        self._b = np.full(size, -1, np.int32)
        self._cost = np.zeros(size, np.float32)
        self._functions = np.zeros(size, np.int8)
        self.n = 0
        self._ends: dict[int, tuple[int, int]] = {}
        self.grid = np.zeros(0, np.int64)
        self._build(max_level)
        self._finish()

    # ---- making

    def _build(self, max_level: int) -> None:
        of_one, of_two = list(unaries(self.words)), list(binaries(self.words))
        self._add_leaves()
        for level in range(2, max_level + 1):
            start = self.n
            for unary in of_one:
                if not self._stop():
                    self._add_unary(unary, level)
            if level == self.tuning.grid_level and not self._stop():
                self._add_grid()
            for small in range(1, (level - 1) // 2 + 1):
                for binary in of_two:
                    if level <= self._largest_level(binary, max_level):
                        self._add_binary(binary, small, level - 1 - small)
            self._ends[level] = (start, self.n)
            if self.n >= self._size or self._stop():
                break

    def _largest_level(self, binary: Binary, otherwise: int) -> int:
        if binary.is_sum:
            return self.tuning.sum_level
        return self.tuning.function_level if binary.is_function else otherwise

    def _add_leaves(self) -> None:
        for i in range(self.n_inputs):
            leaf = self._leaf(i)
            self._ways.append(_just(leaf))
            self._keep(self._values[i : i + 1], len(self._ways) - 1, -1, -1, self.words.cost(leaf), 0)
        for i, values in enumerate(self._values):
            centre = float(values.mean())
            # In a small range far from 0 what matters is where in the range a value is.
            if abs(centre) > self.tuning.far * float(values.std()):
                tree = normal.add([self._leaf(i), Constant(-centre)])
                written = self.words.render(tree)
                if written is not None:
                    self._ways.append(_just(tree))
                    self._keep((values - centre)[None], len(self._ways) - 1, -1, -1, self.words.cost(written), 0)
        self._ends[1] = (0, self.n)

    def _leaf(self, i: int) -> Expr:
        return normal.multiply([Constant(1.0 / self._units[i]), Variable(i)])

    def _level_rows(self, level: int) -> np.ndarray:
        return np.arange(*self._ends.get(level, (0, 0)))

    def _add_unary(self, unary: Unary, level: int) -> None:
        rows = self._level_rows(level - unary.size)
        if unary.size > 1 and level > self.tuning.cube_level:
            return
        if unary.is_function:
            rows = rows[self._functions[rows] == 0]
        if len(rows) == 0:
            return
        together = len(rows) == rows[-1] - rows[0] + 1  # then no copy is made
        values = self._raw[rows[0] : rows[-1] + 1] if together else self._raw[self.indices(rows)]
        if unary.needs_sign:
            signed = ((values > 0).all(1)).cpu().numpy()
            rows, values = rows[signed], values[self.indices(signed)]
        if len(rows):
            self._ways.append(unary)
            cost = unary.cost + unary.copies * self._cost[rows]
            functions = self._functions[rows] + unary.is_function
            self._keep(unary.values(values), len(self._ways) - 1, rows, -1, cost, functions)

    def _add_binary(self, binary: Binary, level_a: int, level_b: int) -> None:
        a, b = self._level_rows(level_a), self._level_rows(level_b)
        if len(a) == 0 or len(b) == 0 or self.n >= self._size or self._stop():
            return
        self._ways.append(binary)
        way = len(self._ways) - 1
        right = self._raw[b[0] : b[-1] + 1][None]
        step = max(1, _CHUNK // (len(b) * self.n_rows))
        for i in range(0, len(a), step):
            if self.n >= self._size or self._stop():
                return
            part = a[i : i + step]
            values = binary.values(self._raw[part[0] : part[-1] + 1][:, None], right).reshape(-1, self.n_rows)
            left_index, right_index = np.repeat(part, len(b)), np.tile(b, len(part))
            cost = binary.cost + self._cost[left_index] + self._cost[right_index]
            functions = np.minimum(self._functions[left_index] + self._functions[right_index], 2)
            self._keep(values, way, left_index, right_index, cost, functions)

    def _add_grid(self) -> None:
        """Functions of scaled inputs, offset reciprocals, and each of them times an input."""
        inputs = range(min(self.n_inputs, self.tuning.grid_inputs))
        atoms = [atom for i in inputs for atom in self._grid_of(i) if self.words.render(atom[1]) is not None]
        if not atoms:
            return
        values = torch.stack([v for v, _, _ in atoms])
        first = len(self._ways)
        self._ways += [_just(tree) for _, tree, _ in atoms]
        costs = np.array([self.words.cost(self.words.render(tree) or tree) for _, tree, _ in atoms], np.float32)
        functions = np.array([f for _, _, f in atoms], np.int8)
        ways = first + np.arange(len(atoms), dtype=np.int32)
        first_kept = self.n
        self._keep(values, ways, -1, -1, costs, functions)
        self.grid = np.arange(first_kept, self.n)
        product = next((b for b in binaries(self.words) if not b.is_sum and not b.is_function), None)
        if product is None:
            return
        for i in inputs:
            variable = self._leaf(i)
            first = len(self._ways)
            self._ways += [_just(normal.multiply([variable, tree])) for _, tree, _ in atoms]
            more = costs + np.float32(product.cost + self.words.cost(variable))
            ways = first + np.arange(len(atoms), dtype=np.int32)
            self._keep(values * self._values[i], ways, -1, -1, more, functions)

    def _grid_of(self, i: int) -> Iterator[tuple[torch.Tensor, Expr, int]]:
        x, leaf = self._values[i], self._leaf(i)
        spread = float(x.std())
        if not spread > 0.0:
            return
        square = x * x
        mean = float(square.mean())
        for op in self.words.functions:
            row = op.row or _UNKNOWN
            quarter = row.period / 4 if row.cofunction and row.cofunction not in self.words.options.operators else 0.0
            for rate in self.tuning.frequencies if row.period else self.tuning.rates:
                for sign in (1, -1) if normal.parity(op) == 0 else (1,):
                    c = sign * rate / spread
                    tree = normal.apply(op, [normal.multiply([Constant(c), leaf])])
                    yield op.torch(c * x), tree, 1
                    if quarter:
                        shifted = normal.add([normal.multiply([Constant(c), leaf]), Constant(quarter)])
                        yield op.torch(c * x + quarter), normal.apply(op, [shifted]), 1
            if row.bell and self.words.render(normal.power(leaf, 2.0)) is not None:
                for rate in self.tuning.offsets[2:]:
                    tree = normal.apply(op, [normal.multiply([Constant(-rate / mean), normal.power(leaf, 2.0)])])
                    yield op.torch(-rate / mean * square), tree, 1
        for offset in self.tuning.offsets:
            c = offset * mean
            tree = normal.power(normal.add([normal.power(leaf, 2.0), Constant(c)]), -1.0)
            if self.words.render(tree) is None:
                break
            yield 1.0 / (square + c), tree, 0

    def _keep(
        self,
        values: torch.Tensor,
        way: int | np.ndarray,
        a: int | np.ndarray,
        b: int | np.ndarray,
        cost: float | np.ndarray,
        functions: int | np.ndarray,
    ) -> None:
        """Add those rows of values that are finite, of a usable size, and not there yet."""
        largest = values.abs().amax(1)
        usable = (largest < _LARGEST) & (largest > 1.0 / _LARGEST) & (values.std(1) > _FLAT * largest)  # False for NaN
        rows = torch.nonzero(usable)[:, 0]
        if len(rows) == 0:
            return
        codes = self._hash(values[rows])
        _, new = np.unique(codes, return_index=True)
        if len(self._seen):
            place = np.searchsorted(self._seen, codes[new])
            place[place == len(self._seen)] = 0
            new = new[self._seen[place] != codes[new]]
        room = self._size - self.n
        if len(new) > room:
            new = self._rng.permutation(new)[:room]
        if len(new) == 0:
            return
        new = np.sort(new)
        self._seen = np.sort(np.concatenate([self._seen, codes[new]]))
        chosen = rows.cpu().numpy()[new]
        into = slice(self.n, self.n + len(chosen))
        self._raw[into] = values[self.indices(chosen)]
        for target, source in (
            (self._way, way), (self._a, a), (self._b, b), (self._cost, cost), (self._functions, functions)
        ):  # fmt: skip
            target[into] = source[chosen] if isinstance(source, np.ndarray) else source
        self.n += len(chosen)

    def _hash(self, values: torch.Tensor) -> np.ndarray:
        """Equal for rows that are equal up to a factor, sign included."""
        with torch.autocast(self.device.type, enabled=False):
            projected = values @ self._projection / values.norm(dim=1, keepdim=True)
        projected = projected * torch.sign(projected[:, :1])
        rounded = torch.round(projected * 2e4).to(torch.int64)
        return ((rounded[:, 0] * 1000003 + rounded[:, 1]) * 1000003 + rounded[:, 2]).cpu().numpy()

    def indices(self, index: np.ndarray) -> torch.Tensor:
        """Numbers of expressions as a tensor where the bank is."""
        return torch.as_tensor(index, device=self.device)

    def _finish(self) -> None:
        n = self.n
        self.raw, self.cost = self._raw[:n], self._cost[:n]
        self.order = np.argsort(self.cost, kind="stable")
        unit = self.raw[self.indices(self.order)]
        unit = unit - unit.mean(1, keepdim=True)
        unit = unit / unit.norm(dim=1, keepdim=True) * math.sqrt(self.n_rows)
        # An expression that is another one shifted and scaled does nothing that the other doesn't.
        _, first = np.unique(self._hash(unit), return_index=True)
        first = np.sort(first)
        self.unit_index = self.order[first]
        self.unit = unit[self.indices(first)].T.contiguous()
        self.unit_squared = self.unit * self.unit
        self.unit_cost = self.cost[self.unit_index]

    # ---- reading

    @property
    def n_unit(self) -> int:
        """How many expressions there are that are no other one shifted and scaled."""
        return self.unit.shape[1]

    def expr(self, i: int) -> Expr:
        """Expression ``i`` as a normal form."""
        if i not in self._trees:
            way = self._ways[self._way[i]]
            if isinstance(way, Unary):
                self._trees[i] = way.build(self.expr(int(self._a[i])))
            elif isinstance(way, Binary):
                self._trees[i] = way.build(self.expr(int(self._a[i])), self.expr(int(self._b[i])))
            else:
                self._trees[i] = way()
        return self._trees[i]

    def values(self, i: int) -> np.ndarray:
        """(n_rows,) float64: values of expression ``i`` on the bank's rows."""
        return self.raw[i].cpu().numpy().astype(np.float64)


def _unit_of(column: np.ndarray) -> float:
    size = float(np.abs(column).max())
    return 1.0 if size == 0.0 or 1e-3 <= size <= 1e3 else 10.0 ** round(math.log10(size))


def _just(tree: Expr) -> Callable[[], Expr]:
    return lambda: tree
