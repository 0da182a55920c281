"""What capturing costs: a model's pass with blocks watched, against the bare pass.

    python benchmarks/capture.py                  # the table; some three minutes on one core
    python benchmarks/capture.py --batch 64 --width 32 --blocks 1

Models are four layers of `width`, tanh after each. Columns, CPU time of the best of several interleaved rounds:

    bare     microseconds of a pass without capture
    a call   microseconds that each call of a watched block adds, with passes run to their end; of streams of
             100,000 rows, of which max_rows are kept: all the cost of a capture, shared out among the calls
    ratio    a pass with capture : bare
    early    the same where passes may end after the last watched block
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn

from symtorch.capture import capture

ROWS = 100_000
LAYERS = 4
BATCHES, WIDTHS, BLOCKS, MAX_ROWS = (64, 512, 4096), (16, 64, 256), (1, 3), (1_000, 10_000)


def seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def row(batch: int, width: int, n_blocks: int, max_rows: int, rounds: int) -> str:
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Sequential(nn.Linear(width, width), nn.Tanh()) for _ in range(LAYERS))).eval()
    blocks = {str(i): model[i] for i in range(n_blocks)}
    few = [torch.randn(batch, width) for _ in range(4)]
    n = max(ROWS // batch, 8)

    def data() -> list[torch.Tensor]:
        return [few[i % len(few)] for i in range(n)]

    @torch.no_grad()
    def bare() -> None:
        for x in data():
            model(x)

    ways: dict[str, Callable[[], object]] = {
        "bare": bare,
        "whole": lambda: capture(blocks, data(), model=model, max_rows=max_rows, forward=lambda model, x: model(x)),
        "early": lambda: capture(blocks, data(), model=model, max_rows=max_rows),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, run in ways.items():
            best[name] = min(best[name], seconds(run) / n * 1e6)
    added = (best["whole"] - best["bare"]) / n_blocks
    return (
        f"{batch:>6}{width:>7}{n_blocks:>8}{max_rows:>10}{best['bare']:>10.0f}{added:>9.0f}"
        f"{best['whole'] / best['bare']:>8.2f}{best['early'] / best['bare']:>8.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="*", default=BATCHES, help="rows in a batch")
    parser.add_argument("--width", type=int, nargs="*", default=WIDTHS, help="inputs and outputs of a layer")
    parser.add_argument("--blocks", type=int, nargs="*", default=BLOCKS, help="layers that are watched, the first ones")
    parser.add_argument("--max-rows", type=int, nargs="*", default=MAX_ROWS, help="rows that are kept of each block")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'batch':>6}{'width':>7}{'blocks':>8}{'max_rows':>10}{'bare':>10}{'a call':>9}{'ratio':>8}{'early':>8}")
    for batch in given.batch:
        for width in given.width:
            for n_blocks in given.blocks:
                for max_rows in given.max_rows:
                    print(row(batch, width, n_blocks, max_rows, given.rounds), flush=True)


if __name__ == "__main__":
    main()
