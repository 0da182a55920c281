"""Equations as machine code: a C function made by the system's compiler, for inference on a CPU.

Rows go through in blocks that stay in the first-level cache; within a block every step is a loop
that the compiler turns into vector instructions, with the C library's vector versions of sin, exp
and their like where there are any (glibc's libmvec). No value of a block leaves the cache but the
results. The constants are an argument, so training them costs no new compilation.
"""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
from torch import Tensor

from symtorch.codegen.c_compiler import Library, build
from symtorch.codegen.printing import c_printer, definitions
from symtorch.codegen.program import Input, Program, Slot
from symtorch.equations.operators import OPERATORS
from symtorch.errors import CompilerError

ROWS_PER_THREAD = 4096
"""Fewer rows than this are not worth another thread."""

BLOCK_BYTES = 1 << 18
"""What a block's values may take: they should stay in the cache."""

STACK_BYTES = 1 << 21
"""What they may take at most, on a thread's stack."""

MOST_VALUES = 30_000
"""Values of a program that is compiled, about half a minute's work for the compiler; more run eagerly."""

LINES_PER_LOOP = 100
"""Steps in one loop; a compiler's time grows faster than the loops it is given."""

PRELUDE = """\
#include <math.h>
#include <tgmath.h>

#ifdef __GNUC__
#define APART __attribute__((noinline))
#else
#define APART
#endif
"""


class NativeKernel:
    """A program as a C function over float32 or float64, compiled when it is first called.

    Args:
        program: what to compute.
        n_inputs: number of input columns.
    """

    def __init__(self, program: Program, n_inputs: int) -> None:
        self.program = program
        self.n_inputs = n_inputs
        self._libraries: dict[torch.dtype, Library] = {}

    def __call__(self, x: Tensor, constants: Tensor) -> Tensor:
        """(n, n_inputs), constants of the same dtype -> (n, n_outputs); contiguous, on the CPU.

        Raises:
            CompilerError: there is no compiler, it failed, or the program is too large for it.
        """
        kernel = self._kernel(x.dtype)
        x, constants = x.contiguous(), constants.contiguous()
        n_rows, n_outputs = x.shape[0], len(self.program.outputs)
        y = x.new_empty(n_rows, n_outputs)
        size = x.element_size()

        def rows(first: int, n: int) -> None:
            at_x = x.data_ptr() + first * self.n_inputs * size
            at_y = y.data_ptr() + first * n_outputs * size
            kernel(at_x, constants.data_ptr(), at_y, n)

        threads = min(torch.get_num_threads(), n_rows // ROWS_PER_THREAD)
        if threads < 2:
            rows(0, n_rows)
        else:
            share = -(-n_rows // threads)
            starts = range(0, n_rows, share)
            list(_pool(os.getpid(), threads).map(lambda first: rows(first, min(share, n_rows - first)), starts))
        return y

    def _kernel(self, dtype: torch.dtype) -> Library:
        if dtype not in self._libraries:
            if len(self.program.values) > MOST_VALUES:
                raise CompilerError(
                    f"the equations have {len(self.program.values):,} steps; more than {MOST_VALUES:,} would keep "
                    f"the compiler busy for minutes. Run them eagerly: compile=False."
                )
            library = build(kernel_source(self.program, self.n_inputs), dtype, "kernel")
            library.function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long]
            library.function.restype = None
            self._libraries[dtype] = library
        return self._libraries[dtype]


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads of this process: a forked child has none of its parent's."""
    return ThreadPoolExecutor(threads, thread_name_prefix="symtorch")


def kernel_source(program: Program, n_inputs: int) -> str:
    """C source of ``void kernel(const real *x, const real *c, real *y, long n)``.

    Within a block, a value that several steps need is a row of the workspace ``w`` and gets a loop of
    its own; what only one step needs is computed in that step's loop.
    """
    uses, varies = program.uses(), program.depends_on_inputs()
    n_outputs = len(program.outputs)
    columns = sorted({v.index for v in program.values if isinstance(v, Input)})
    rows = {("x", j): k for k, j in enumerate(columns)}  # of the workspace
    printer = c_printer(lambda leaf: f"c[{leaf.index}]" if isinstance(leaf, Slot) else f"w[{rows['x', leaf.index]}][i]")
    names = printer.leaves(program)
    scalars: list[str] = []
    loops: list[list[str]] = []
    pending: dict[int, list[str]] = {}
    for number, step, text in printer.steps(program, names):
        if not varies[number]:
            names[number] = f"k[{len(scalars)}]"
            scalars.append(f"{names[number]} = {text};")
            continue
        names[number] = f"t{number}"
        lines = [line for a in dict.fromkeys(step.args) for line in pending.pop(a, [])]
        lines.append(f"const real t{number} = {text};")
        if uses[number] > 1 or len(lines) >= LINES_PER_LOOP:
            row = rows.setdefault(("v", number), len(rows))
            loops.append([*lines, f"w[{row}][i] = t{number};"])
            names[number] = f"w[{row}][i]"
        else:
            pending[number] = lines
    first_output = len(rows)
    for j, number in enumerate(program.outputs):
        loops.append([*pending.pop(number, []), f"w[{first_output + j}][i] = {names[number]};"])
    return _kernel_text(n_inputs, columns, scalars, loops, first_output, n_outputs)


LOOPS_PER_FUNCTION = 24
"""A compiler's time grows faster than the functions it is given."""


def _kernel_text(
    n_inputs: int, columns: list[int], scalars: list[str], loops: list[list[str]], first_output: int, n_outputs: int
) -> str:
    """The source around the loops over a block's rows."""
    n_rows = first_output + n_outputs
    block = 64
    while block > 16 and 8 * block * n_rows > BLOCK_BYTES:
        block //= 2
    if 8 * block * n_rows > STACK_BYTES:
        raise CompilerError(f"the equations have {n_rows:,} values at a time, too many for a thread's stack.")
    parameters = f"real (*restrict w)[{block}], const real *restrict c, const real *restrict k"
    text = [PRELUDE, *definitions("\n".join(line for loop in [scalars, *loops] for line in loop), "c"), ""]
    text.append(_vector_functions())
    parts = [loops[i : i + LOOPS_PER_FUNCTION] for i in range(0, len(loops), LOOPS_PER_FUNCTION)]
    for number, part in enumerate(parts):
        text.append(f"static APART void part{number}({parameters}) {{")
        for loop in part:
            text += ["    #pragma omp simd", f"    for (int i = 0; i < {block}; i++) {{"]
            text += [*(f"        {line}" for line in loop), "    }"]
        text += ["}", ""]
    text.append("void kernel(const real *restrict x, const real *restrict c, real *restrict y, long n) {")
    text += [f"    real w[{n_rows}][{block}];", f"    real k[{max(1, len(scalars))}];"]
    text += [f"    {line}" for line in scalars]
    text.append(f"    for (long first = 0; first < n; first += {block}) {{")
    text.append(f"        const long m = n - first < {block} ? n - first : {block};")
    text.append(f"        for (int i = 0; i < {block}; i++) {{")
    text.append(f"            const real *row = x + (first + (i < m ? i : m - 1)) * {n_inputs};")
    text += [f"            w[{k}][i] = row[{j}];" for k, j in enumerate(columns)]
    text.append("        }")
    text += [f"        part{number}(w, c, k);" for number in range(len(parts))]
    text += ["        for (int i = 0; i < m; i++)", f"            for (int j = 0; j < {n_outputs}; j++)"]
    text += [f"                y[(first + i) * {n_outputs} + j] = w[{first_output} + j][i];", "    }", "}", ""]
    return "\n".join(text)


def _vector_functions() -> str:
    """Declarations that say which functions the C library has over vectors.

    math.h itself says so under -ffast-math only, which would give up NaN and infinity.
    """
    lines = ["#ifdef GLIBC_MINOR"]
    for row in (op.row for op in OPERATORS.values()):
        if row is not None and row.vectorized:
            vector = (
                f'__attribute__((__simd__("notinbranch"))) real (NAMED({row.c}))({", ".join(["real"] * row.arity)});'
            )
            lines.append(f"#if GLIBC_MINOR >= {row.vectorized}\n{vector}\n#endif")
    return "\n".join([*lines, "#endif", ""])
