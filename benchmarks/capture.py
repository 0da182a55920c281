"""What capturing costs: a model's pass with blocks watched, against the bare pass.

    python benchmarks/capture.py                  # the table; some five minutes on one core
    python benchmarks/capture.py --batch 64 --width 32 --blocks 1

Models are `layers` layers of `width`, tanh after each; the first ones are watched. Columns, CPU time of the best of
several interleaved rounds:

    bare     microseconds of a pass without capture
    a call   microseconds that each call of a watched block adds, with passes run to their end; of streams of
             `rows` rows, of which max_rows are kept: all the cost of a capture, shared out among the calls
    later    the same of the calls of the next `rows` rows: there is no free room then, and nothing to set up
    whole    a pass with capture : bare
    early    the same where passes may end after the last watched block
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
from torch import nn

from symtorch.capture import capture

BATCHES, WIDTHS, BLOCKS, MAX_ROWS = (64, 512, 4096), (16, 64, 256), (1, 3), (1_000, 10_000)


def seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


@dataclass(frozen=True)
class Setting:
    """What is captured: see the flags."""

    batch: int
    width: int
    layers: int
    blocks: int
    max_rows: int
    rows: int


def row(given: Setting, rounds: int) -> str:
    torch.manual_seed(0)
    layers = (nn.Sequential(nn.Linear(given.width, given.width), nn.Tanh()) for _ in range(given.layers))
    model = nn.Sequential(*layers).eval()
    blocks = {str(i): model[i] for i in range(given.blocks)}
    few = [torch.randn(given.batch, given.width) for _ in range(4)]
    n = max(given.rows // given.batch, 8)

    def data(times: int = 1) -> list[torch.Tensor]:
        return [few[i % len(few)] for i in range(times * n)]

    @torch.no_grad()
    def bare() -> None:
        for x in data():
            model(x)

    def whole(times: int = 1) -> None:
        capture(blocks, data(times), model=model, max_rows=given.max_rows, forward=lambda model, x: model(x))

    ways: dict[str, Callable[[], object]] = {
        "bare": bare,
        "whole": whole,
        "twice": lambda: whole(2),
        "early": lambda: capture(blocks, data(), model=model, max_rows=given.max_rows),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, run in ways.items():
            best[name] = min(best[name], seconds(run) / n * 1e6)
    added = (best["whole"] - best["bare"]) / given.blocks
    later = (best["twice"] - best["whole"] - best["bare"]) / given.blocks
    return (
        f"{given.batch:>6}{given.width:>7}{given.layers:>8}{given.blocks:>8}{given.max_rows:>10}{best['bare']:>10.0f}"
        f"{added:>9.0f}{later:>9.0f}{best['whole'] / best['bare']:>8.2f}{best['early'] / best['bare']:>8.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="*", default=BATCHES, help="rows in a batch")
    parser.add_argument("--width", type=int, nargs="*", default=WIDTHS, help="inputs and outputs of a layer")
    parser.add_argument("--blocks", type=int, nargs="*", default=BLOCKS, help="layers that are watched, the first ones")
    parser.add_argument("--max-rows", type=int, nargs="*", default=MAX_ROWS, help="rows that are kept of each block")
    parser.add_argument("--layers", type=int, default=4, help="of the model")
    parser.add_argument("--rows", type=int, default=100_000, help="of a stream, at least 8 batches")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    columns = f"{'bare':>10}{'a call':>9}{'later':>9}{'whole':>8}{'early':>8}"
    print(f"{'batch':>6}{'width':>7}{'layers':>8}{'blocks':>8}{'max_rows':>10}{columns}")
    for batch, width, blocks, max_rows in product(given.batch, given.width, given.blocks, given.max_rows):
        setting = Setting(batch, width, given.layers, blocks, max_rows, given.rows)
        print(row(setting, given.rounds), flush=True)


if __name__ == "__main__":
    main()
