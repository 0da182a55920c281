"""The tables of the reference pages, made from the code whenever the site is built.

    python docs/tables.py                 # writes docs/_generated/*.md and docs/api/index.rst; conf.py does the same

So they cannot be out of date: operators are read from the operator table, options from their dataclass, errors
and warnings from the source. What the code cannot say (what to do about an error) stands here.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

import sympy
from sympy.printing.str import StrPrinter

import symtorch
import symtorch.engines
import symtorch.equations
from symtorch import SearchOptions, errors, plotting
from symtorch.engines.native import NativeEngine
from symtorch.engines.native.fitting import losses
from symtorch.engines.pysr.signature import PARAMETERS
from symtorch.equations.definitions import DEFINED
from symtorch.equations.expr import Operator
from symtorch.equations.operators import OPERATORS
from symtorch.local.explain import DEFAULT_LOCAL_PARAMS

DOCS = Path(__file__).parent


# ---- Markdown


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar within a cell does not end it."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def definitions(entries: Iterable[tuple[str, str]]) -> str:
    """A list of terms, each with what is said of it below; unlike a table it fits any width."""
    return "\n".join(f"{term}\n: {text}\n" for term, text in entries)


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def codes(texts: Iterable[str]) -> str:
    return ", ".join(map(code, texts))


def markdown(text: str) -> str:
    """A docstring's text, which is reStructuredText, in one line of Markdown."""
    text = re.sub(r":\w+:`~?([^`<]+)`", r"`\1`", text).replace("``", "`")
    return " ".join(text.split())


# ---- operators


class _Readable(StrPrinter):
    """SymPy's text, with choices as one says them."""

    def _print_Piecewise(self, expr: Any) -> str:
        *choices, (last, _) = expr.args
        return " else ".join([*(f"{self._print(e)} if {self._print(c)}" for e, c in choices), self._print(last)])

    def _print_Abs(self, expr: Any) -> str:
        return f"abs({self._print(expr.args[0])})"

    def _print_Max(self, expr: Any) -> str:
        return f"max({', '.join(self._print(arg) for arg in expr.args)})"

    def _print_Min(self, expr: Any) -> str:
        return f"min({', '.join(self._print(arg) for arg in expr.args)})"

    def _print_And(self, expr: Any) -> str:
        return " and ".join(self._print(arg) for arg in expr.args)

    def _print_Or(self, expr: Any) -> str:
        return " or ".join(self._print(arg) for arg in expr.args)


IN_WORDS = {"round": "nearest integer, halves to even", "heaviside": "0 if x < 0 else 1 if x > 0 else 0.5"}
"""What SymPy says at length, or not at all."""


def meaning(op: Operator) -> str:
    """What an operator computes, in SymPy's words.

    >>> meaning(OPERATORS["cond"])
    'y if x > 0 else 0'
    """
    if op.name in IN_WORDS:
        return IN_WORDS[op.name]
    arguments = sympy.symbols("x y z", real=True)[: op.arity]
    return _Readable().doprint(op.sympy(*arguments)).replace("**", "^")


def domain(op: Operator) -> str:
    """Where an operator has a value, as one reads it; empty for everywhere."""
    text = op.row.domain if op.row is not None else ""
    for old, new in (("np.", ""), (" | ", " or "), (" & ", " and "), ("==", "="), ("(x > 0)", "x > 0")):
        text = text.replace(old, new)
    return text


def cost(op: Operator) -> str:
    """What an operator adds to the complexity where the user names no complexities; empty where none may search it."""
    if op.arity > 2:
        return ""
    kind = "unary_operators" if op.arity == 1 else "binary_operators"
    return f"{SearchOptions.from_params({kind: [op.name]}).complexity_of_operators.get(op.name, 1):g}"


def operators(arity: int) -> str:
    rows = [
        (codes((op.name, *op.row.aliases)), cost(op), code(meaning(op)), code(domain(op)))
        for op in OPERATORS.values()
        if op.arity == arity and op.row is not None
    ]
    header = ["name", "cost", "meaning", "only where"]
    if arity > 2:  # no search uses them, so they cost nothing
        return table(header[:1] + header[2:], (row[:1] + row[2:] for row in rows))
    return table(header, rows)


def defined() -> str:
    return table(["name", "read as"], [(code(name), code(text)) for name, text in DEFINED.items()])


# ---- losses

LOSS_FORMULAS = {
    "L2DistLoss": ("L2DistLoss()", "r^2", "squared error; the default"),
    "L1DistLoss": ("L1DistLoss()", "abs(r)", "absolute error: outliers pull less"),
    "LPDistLoss": ("LPDistLoss(1.5)", "abs(r)^1.5", "between the two"),
    "HuberLoss": ("HuberLoss(0.5)", "0.5*r^2 if abs(r) <= 0.5 else 0.5*(abs(r) - 0.25)", "squared near 0, then a line"),
    "LogCoshLoss": ("LogCoshLoss()", "log(cosh(r))", "the same, smooth"),
    "LogitDistLoss": ("LogitDistLoss()", "2*log(1 + exp(r)) - r - log(4)", "of the logistic distribution"),
    "L1EpsilonInsLoss": ("L1EpsilonInsLoss(0.1)", "max(abs(r) - 0.1, 0)", "errors up to 0.1 are free"),
    "EpsilonInsLoss": ("EpsilonInsLoss(0.1)", "max(abs(r) - 0.1, 0)", "another name of it"),
    "L2EpsilonInsLoss": ("L2EpsilonInsLoss(0.1)", "max(abs(r) - 0.1, 0)^2", "the same, squared beyond"),
    "QuantileLoss": ("QuantileLoss(0.9)", "-0.9*r if r <= 0 else 0.1*r", "the 90 % quantile instead of the mean"),
}
"""{name: (an example, its formula over the residual r = prediction - target, what it is for)}; tests compare them."""


def loss_table() -> str:
    rows = []
    for name in losses._LOSSES:
        example, formula, purpose = LOSS_FORMULAS[name]
        rows.append((code(example), code(formula), purpose))
    return table(["`elementwise_loss=`", "of `r = prediction - target`", "what for"], rows)


# ---- options


def attributes(documented: type) -> dict[str, str]:
    """{name: description} of the ``Attributes:`` in a class's docstring; those that share one have it each."""
    text = inspect.cleandoc(documented.__doc__ or "").split("Attributes:\n", 1)[1].split("\n\n")[0]
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=    \S)", "\n" + text)[1:]:
        names, description = entry.split(": ", 1)
        found |= dict.fromkeys((name.strip() for name in names.split(",")), markdown(description))
    return found


def default(value: Any) -> str:
    """A default as one would write it."""
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, dict) and any(callable(v) for v in value.values()):
        return f"of {codes(value)}"
    return code(repr(value))


def options() -> str:
    described, defaults = attributes(SearchOptions), SearchOptions.from_params()
    names = [field.name for field in fields(SearchOptions) if field.name not in ("extra", "given")]
    return definitions((f"`{name}` = {default(getattr(defaults, name))}", described[name]) for name in names)


def local_options() -> str:
    return table(["option", "instead"], [(code(name), default(value)) for name, value in DEFAULT_LOCAL_PARAMS.items()])


def options_without_effect() -> str:
    return codes(sorted(NativeEngine().parameters)) + "\n"


def options_of_pysr() -> str:
    return codes(sorted(PARAMETERS - set(NativeEngine().parameters))) + "\n"


# ---- errors and warnings

ADVICE = {
    "SymTorchError": "catch it for all of them.",
    "InputError": "read the message: it names the argument, what came, what was expected, and often the way out "
    "(`output_index=` for a block with several results, `drop_nonfinite=True` for NaN).",
    "OptionError": "correct the option; where the native engine cannot honour it, leave it out or take "
    '`engine="pysr"`.',
    "ParseError": "write the equation with [the known operators](operators.md), variables by the names of the inputs.",
    "NotDistilledError": "call `distill` first, for every output that is not pruned, or `set_equation`.",
    "NotSetUpError": "call `setup_pruning` before `prune`.",
    "ReleasedError": "load the original model again; `release_block` frees the weights for good.",
    "EngineError": '`symtorch.engines.status()` says what is missing; `engine="native"` needs nothing. What other '
    "outputs have found is in the error's `fronts`.",
    "StateError": "load it with the version that wrote it or a later one; for a damaged file go back to a copy. A file "
    "of `save` wants `trusted=True`, since loading it runs code.",
    "UndefinedError": '`guard="block"` lets the block answer for such rows; `fidelity` counts them; or choose another '
    "equation of the front.",
    "AskLimitError": "pass a larger number or `ask=True`; `ask=False` searches the data alone.",
    "PoorFitWarning": "look at `front.verdict` and the front before you use the equations; `min_r2=None` says that "
    "you know.",
    "NotAFunctionWarning": "put the block into eval mode, fix its randomness, or wrap a part that answers row by row.",
    "CompilerError": 'install a C compiler, or leave `compile="auto"`, which goes on without.',
}
"""What to do about each error, and each class of warning."""


def _classes(base: type) -> list[type]:
    return [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, base)]


def error_classes() -> list[type]:
    return _classes(errors.SymTorchError)


def warning_classes() -> list[type]:
    return _classes(Warning)


def name_of(error: type) -> str:
    """Where an error is had from, below symtorch."""
    return error.__name__ if error.__name__ in symtorch.__all__ else f"errors.{error.__name__}"


def class_list(classes: Iterable[type]) -> str:
    entries = []
    for error in classes:
        builtin = next((c.__name__ for c in error.__mro__ if c.__module__ == "builtins"), "Exception")
        article = "an" if builtin[0] in "AEIO" else "a"
        also = f", {article} `{builtin}`" if builtin != "Exception" else ""
        first = markdown((error.__doc__ or "").split("\n\n")[0])
        name = f"{{py:exc}}`symtorch.{name_of(error)}`"
        entries.append((f"{name}{also}", f"{first} *What to do:* {ADVICE.get(error.__name__, 'read the message.')}"))
    return definitions(entries)


WARNS = ("logger.warning", "warnings.warn", "warn_caller")
"""What gives a warning."""


def warnings() -> list[tuple[str, str]]:
    """(file, message) of every warning without a class of ours that the source can give; ``...`` is put in."""
    root = Path(symtorch.__file__).parent
    found = []
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in WARNS:
                if any(isinstance(arg, ast.Name) and hasattr(errors, arg.id) for arg in node.args[1:]):
                    continue
                message = _message(node.args[0])
                if message.strip("."):  # not a function that hands one on
                    found.append((path.relative_to(root).as_posix(), message))
    return found


def _message(node: ast.expr) -> str:
    """The text of a message that is written out, with ``...`` for what is put in."""
    if isinstance(node, ast.Constant):
        text = str(node.value)
    else:
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in parts)
    return " ".join(re.sub(r"%[rsd]", "...", text).split())


WARNING_ADVICE = {
    "the model calls its blocks": "as the message says.",
    "block ...: left out": "see where they come from; `drop_nonfinite=True` has asked for this.",
    "The equations are not compiled": "nothing: they run through torch. `compile=False` says so beforehand.",
    "The equations were compiled where": "nothing, or install a C compiler here, too.",
    "... can't be read, output": "nothing; keep files of `save_path` as they are.",
    "fronts can't be kept": "make room, or give another `save_path`.",
    "the search ... for": "give it a longer `timeout_in_seconds`, or go on with `resume=True`.",
    "the GPU can't be used": "nothing, or give this process a GPU of its own.",
    "a worker could not do": "nothing is lost but time; see that workers have the same versions installed.",
    "workers were lost": "nothing is lost but time; look at the workers' memory.",
    "equation ... of PySR can't be read": "give the operator an `extra_sympy_mappings`.",
    "PySR was stopped before": "give it a longer `timeout_in_seconds`.",
    "PySR failed for output": "read PySR's own lines in the message.",
    "a further PySR process": "lower `max_workers` of `PySREngine`; look at the memory.",
    "PySR did not stop": "nothing; what it had found is kept. `PySREngine(limits=...)` has the times.",
    "... is an old name": "use the new name.",
    "real_weighting": "give `slime_params` an `x`, or leave it out.",
    "Constants of ... are not finite": "lower the learning rate, or take another equation.",
    "...; it can be written, but": "as the message says.",
    "this state was written by torch-symbolic 1.0": "as the message says.",
}
"""What to do about a warning that begins like this; where there is nothing, its message must be enough."""


def advice(message: str) -> str:
    return next((text for start, text in WARNING_ADVICE.items() if message.startswith(start)), "as the message says.")


def warning_list() -> str:
    return definitions((code(message), f"*What to do:* {advice(message)}") for _, message in warnings())


# ---- benchmarks

MEASURED = DOCS / "_static" / "benchmarks"
"""What benchmarks have written with ``--json``, one file for each run that the site shows."""


@dataclass(frozen=True)
class Summary:
    """How the results of a benchmark become a table.

    Attributes:
        question: what it asks, for people.
        groups: results -> what each is counted under; see ``LABELS`` for how that reads.
        good: result -> whether it is what one hopes for; None where that is not the question.
        hoped: the heading of how many of them there are.
        seconds: which of a result's numbers is the CPU time; empty for none.
    """

    question: str
    groups: Callable[[Mapping[str, Any]], str]
    good: Callable[[Mapping[str, Any]], bool] | None
    hoped: str = "the pick is the law"
    seconds: str = "seconds"

    def rows(self, results: Sequence[Mapping[str, Any]]) -> str:
        grouped: dict[str, list[Mapping[str, Any]]] = {}
        for result in results:
            grouped.setdefault(self.groups(result), []).append(result)
        header = ["", *([self.hoped] if self.good else ["results"])]
        header += ["CPU-s, median", "longest"] if self.seconds else []
        return table(header, (self._row(name, some) for name, some in grouped.items()))

    def _row(self, name: str, some: Sequence[Mapping[str, Any]]) -> list[str]:
        count = str(len(some)) if self.good is None else f"{sum(map(self.good, some))} of {len(some)}"
        times = [result[self.seconds] for result in some] if self.seconds else []
        return [LABELS.get(name, name), count, *([f"{median(times):.2g}", f"{max(times):.2g}"] if times else [])]


LABELS = {
    "table": "ten laws, asked",
    "data": "ten laws, from data",
    "sums": "eight outputs at once, asked and from data",
    "learned": "two laws as networks have learned them, asked",
    "held-out": "twenty laws of the Feynman lectures, asked",
    "held-out-learned": "the same as networks have learned them, asked",
    "ask": "asked",
}
"""What results are counted under, where a program's own word does not say it all."""

SUMMARIES = {
    "laws.py": Summary("Is the law found, and is it the pick?", lambda r: r["set"], lambda r: r["found"]),
    "four_laws.py": Summary(
        "Four laws from 1,000 rows", lambda r: r["way"], lambda r: r["exact"], "exact", "cpu_seconds"
    ),
    "kinds.py": Summary("Laws of kinds that few searches ask for, asked", lambda r: r["kind"], lambda r: r["found"]),
    "networks.py": Summary(
        "Laws behind small networks of few, noisy rows, asked", lambda r: r["activation"], lambda r: r["is_law"]
    ),
    "forces.py": Summary(
        "Forces from raw positions, behind networks, asked",
        lambda r: f"{r['force']}, {r['activation']}",
        lambda r: r["is_law"],
    ),
    "srbench.py": Summary(
        "Laws as SRBench has them",
        lambda r: "asked" if r["asked"] else f"from data, noise {r['noise']:g}",
        lambda r: r["found"],
    ),
    "textbook.py": Summary(
        "What is shown of the pick beside the textbook's formula, asked",
        lambda r: f"at {'odd' if r['place'] % 2 else 'even'} places",
        lambda r: r["judgement"] == "same",
        "as in the textbook",
    ),
    "verdicts.py": Summary(
        "Does the verdict say the right thing?",
        lambda r: r["kind"],
        lambda r: r["verdict"] == r["truth"],
        "right",
    ),
}
"""How results are summed up, by program. ``forward.py`` has a table of its own."""


def measured() -> str:
    """A section for each file of results, by program; the newest look of each is what is there."""
    sections = []
    for path in sorted(MEASURED.glob("*.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        program, results = run["program"], run["results"]
        command = " ".join([f"python benchmarks/{program}", *run["arguments"]])
        versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
        if program == "forward.py":
            title, shown = "Equations as a forward pass: milliseconds of CPU time a call", forward_pass(results)
        else:
            title, shown = SUMMARIES[program].question, SUMMARIES[program].rows(results)
        threads = "one thread" if run["threads"] == 1 else f"{run['threads']} threads"
        about = f"{code(command)}; {run['date']}, {run['machine']}, {threads}; {versions}."
        link = f"[All results](_static/benchmarks/{path.name})"
        sections.append(f"### {title}\n\n{shown}\n{about} {link}.\n")
    return "\n".join(sections)


def forward_pass(cells: Sequence[Mapping[str, Any]]) -> str:
    """A row for each way and number of equations, a column for each batch."""
    batches = sorted({cell["batch"] for cell in cells})
    rows: dict[tuple[Any, ...], dict[int, float]] = {}
    for cell in cells:
        rows.setdefault((cell["outputs"], cell["kind"], cell["way"]), {})[cell["batch"]] = 1e3 * cell["cpu"]
    header = ["equations", "way", *(f"batch of {batch:,}" for batch in batches)]
    lines = (
        [f"{n} {kind}", way, *(f"{times[batch]:.2g}" if batch in times else "" for batch in batches)]
        for (n, kind, way), times in rows.items()
    )
    return table(header, lines)


# ---- what there is

GROUPS = {
    "Distill": ["SymbolicModel", "wrap", "unwrap", "distill", "fit_constants", "SearchOptions"],
    "Wide blocks": ["Projection", "Gated", "finetune", "Tuning", "rank_blocks", "Ranking", "Rank"],
    "Results": [
        "Equation", "Front", "equations.Fronts", "equations.verdict.Verdict", "equations.verdict.Evidence",
        "equations.structure.Structure",
        "surrogate.fidelity.OutputFidelity",
    ],
    "Local explanations": [
        "explain", "Explanation", "local.neighbourhood.Neighbourhood",
    ],
    "Figures": [f"plotting.{name}" for name in plotting.__all__],
    "scikit-learn": ["SymbolicRegressor"],
    "Equations and operators": [
        "equations.parse", "equations.operator", "equations.operators.add", "equations.operators.remove",
        "equations.table.Row", "equations.suggest.suggest", "equations.suggest.Suggestion",
    ],
    "Engines": [
        "engines.Engine", "engines.native.NativeEngine", "engines.pysr.PySREngine", "engines.pysr.Limits",
        "engines.pysr.lazy", "engines.samples.Samples", "engines.Progress", "engines.ProgressCallback",
        "engines.Availability", "engines.register", "engines.resolve", "engines.status", "testing.EngineContract",
    ],
    "Variables of your own": ["surrogate.encodings.Encoding"],
    "Checkpoints": ["state.distributed.LoadPlanner"],
    "Errors": [name_of(error) for error in error_classes()],
    "Warnings": [name_of(warning) for warning in warning_classes()],
}  # fmt: skip
"""Where public names stand on the page of names; one that is in none of the groups gets a place at its end."""


def resolved(name: str) -> Any:
    """The object of a dotted name below symtorch."""
    module, _, attribute = f"symtorch.{name}".rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def groups() -> dict[str, list[str]]:
    """GROUPS, with every public name that they leave out, so that none is missing."""
    known = {id(resolved(name)) for names in GROUPS.values() for name in names}
    left = []
    for prefix, module in (("", symtorch), ("engines.", symtorch.engines), ("equations.", symtorch.equations)):
        names = [f"{prefix}{name}" for name in module.__all__ if name != "__version__"]
        left += [name for name in names if id(resolved(name)) not in known]
    return {**GROUPS, **({"More": left} if left else {})}


def api() -> str:
    lines = [
        "Names",
        "=====",
        "",
        "Every public name, each with a page of its own, which says where it is imported from.",
        "",
    ]
    for title, names in groups().items():
        lines += [title, "-" * len(title), "", ".. autosummary::", "   :toctree: .", "   :nosignatures:", ""]
        lines += [*(f"   ~symtorch.{name}" for name in names), ""]
    return "\n".join(lines)


PAGES = {
    "_generated/unary.md": lambda: operators(1),
    "_generated/binary.md": lambda: operators(2),
    "_generated/ternary.md": lambda: operators(3),
    "_generated/defined.md": defined,
    "_generated/losses.md": loss_table,
    "_generated/options.md": options,
    "_generated/local_options.md": local_options,
    "_generated/without_effect.md": options_without_effect,
    "_generated/of_pysr.md": options_of_pysr,
    "_generated/errors.md": lambda: class_list(error_classes()),
    "_generated/warning_classes.md": lambda: class_list(warning_classes()),
    "_generated/warnings.md": warning_list,
    "_generated/measured.md": measured,
    "api/index.rst": api,
}
"""What is written, and what it is made by."""


def write(folder: Path = DOCS) -> None:
    """Write all tables below the folder; files that would not change are left alone, so that builds stay quick."""
    for name, make in PAGES.items():
        path, text = folder / name, make()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    names = {"index", *(f"symtorch.{name}" for group in groups().values() for name in group)}
    for page in (folder / "api").glob("*.rst"):
        if page.stem not in names:  # of a name that has gone since
            page.unlink()


def arguments(gallery: dict[str, Any], script: dict[str, Any]) -> list[str]:
    """What a program of the gallery is called with when it is executed: its files go elsewhere."""
    is_quickstart = Path(script["src_file"]).name == "quickstart.py"
    return ["--figure", str(Path(tempfile.gettempdir()) / "quickstart.png")] if is_quickstart else []


if __name__ == "__main__":
    write()
