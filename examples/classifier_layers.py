"""A classifier's layers as equations: where there is a law it is found, where there is none the verdict says so.

Two classifiers of handwritten digits (scikit-learn's, 8 by 8 pixels), a network of two layers on the pixels and a
small residual network of convolutions. Of each, the hidden layer after the features, the head, and the whole, from
pixels to log-odds, are distilled. Claims: hidden layer and head come out as what they are, with verdict "law", and the
accuracy with the equations in their place is the network's; the whole has no short law, no verdict says that it has,
and the accuracy with what was found in its place shows what such equations are worth.

    python examples/classifier_layers.py [--seed 0] [--plot classifier_layers.png]
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import symtorch
from symtorch.errors import PoorFitWarning


class Residual(nn.Module):
    """x + f(x) of two convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inside = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.inside(x))


class Classifier(nn.Module):
    """Log-odds (n, 10) of pixels (n, 64): features, a hidden layer of tanh units, a head."""

    def __init__(self, features: nn.Module, width: int, hidden: int = 12) -> None:
        super().__init__()
        self.features = features
        self.hidden = nn.Sequential(nn.Linear(width, hidden), nn.Tanh())
        self.head = nn.Linear(hidden, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.hidden(self.features(pixels)))


def layered() -> Classifier:
    """A network of two layers on the pixels themselves."""
    return Classifier(nn.Identity(), 64)


def residual() -> Classifier:
    """A residual network: 8 channels, two residual blocks, pooled to 2 by 2."""
    features = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(),
        Residual(8), nn.MaxPool2d(2), Residual(8), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
    )  # fmt: skip
    return Classifier(features, 32)


@dataclass(frozen=True)
class Digits:
    """Pixels (n, 64) from 0 to 1 and what they show (n,), for training and for testing."""

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor

    def jittered(self, generator: torch.Generator | None = None) -> Tensor:
        """The pixels for training with some noise, so that those at the rim vary, too."""
        return self.x + 0.1 * torch.randn(self.x.shape, generator=generator)

    @classmethod
    def split(cls, seed: int) -> Digits:
        from sklearn.datasets import load_digits

        data = load_digits()
        order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(seed))
        x, y = torch.tensor(data.data, dtype=torch.float32)[order] / 16, torch.tensor(data.target)[order]
        return cls(x[:1300], y[:1300], x[1300:], y[1300:])


def train(model: nn.Module, data: Digits, steps: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    for _ in range(steps):
        batch = torch.randint(len(data.x), (128,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(data.jittered()[batch]), data.y[batch]).backward()
        optimizer.step()


def accuracy(model: nn.Module, data: Digits) -> float:
    with torch.no_grad():
        return float((model(data.x_test).argmax(dim=1) == data.y_test).double().mean())


@dataclass(frozen=True)
class Replaced:
    """A part as equations: how many outputs have which verdict, and the accuracy with them in its place."""

    part: str
    verdicts: Counter[str]
    accuracy: float
    shown: str
    seconds: float


def replaced(model: Classifier, part: str, data: Digits, seed: int, niterations: int) -> Replaced:
    """Distill a part of the model, or all of it, and put the equations in its place for a moment."""
    started = time.process_time()
    x = data.jittered(torch.Generator().manual_seed(seed))
    params = {"unary_operators": ["tanh"], "random_state": seed, "niterations": niterations}
    if part == "whole":
        block = symtorch.SymbolicModel(model, "whole")
        block.distill(x, sr_params=params, engine="native", progress=False)
    else:
        block = symtorch.wrap(model, part)
        block.distill(x, parent_model=model, sr_params=params, engine="native", progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PoorFitWarning)  # the verdicts say it
        block.switch_to_symbolic()
    reached = accuracy(block if part == "whole" else model, data)
    if part != "whole":
        symtorch.unwrap(model, part)
    text = str(block.equation(0))
    return Replaced(
        part, Counter(front.verdict.kind for front in block.fronts.values()), reached,
        text if len(text) < 90 else text[:88] + " …", time.process_time() - started,
    )  # fmt: skip


def failures(found: Replaced, before: float) -> list[str]:
    """Claims about a part that do not hold."""
    if found.part == "whole":
        return ["a law where there is none"] if found.verdicts["law"] else []
    failed = [] if set(found.verdicts) == {"law"} else [f"{found.part} is no law: {dict(found.verdicts)}"]
    return failed if abs(found.accuracy - before) <= 0.005 else [*failed, f"{found.part} changes the accuracy"]


def draw(results: dict[str, tuple[float, list[Replaced]]], path: str) -> None:
    """Accuracy of the networks and with each part as equations."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(4 * len(results), 3), layout="constrained", squeeze=False)
    for axis, (name, (before, found)) in zip(axes.flat, results.items(), strict=True):
        heights = [before, *(one.accuracy for one in found)]
        bars = axis.bar(range(len(heights)), heights, color=["tab:blue", *["tab:red"] * len(found)])
        axis.bar_label(bars, [f"{height:.1%}" for height in heights], fontsize=8)
        labels = ["network", *(f"{one.part}\n({'/'.join(one.verdicts)})" for one in found)]
        axis.set_xticks(range(len(heights)), labels, fontsize=8)
        axis.set(title=name, ylabel="accuracy", ylim=(0, 1.1))
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", default="", help="where the picture goes")
    parser.add_argument("--smoke", action="store_true", help="the network of two layers, without the whole")
    args = parser.parse_args()
    torch.set_num_threads(1)  # networks so small gain nothing from more
    data = Digits.split(args.seed)
    failed: list[str] = []
    results: dict[str, tuple[float, list[Replaced]]] = {}
    for name, make in {"two layers": layered, "residual": residual}.items():
        if args.smoke and name != "two layers":
            continue
        torch.manual_seed(args.seed)
        model = make()
        train(model, data, steps=500)
        model.eval()
        before, found = accuracy(model, data), []
        print(f"\n{name}: accuracy on {len(data.y_test)} digits that it has not seen {before:.1%}")
        for part in ("hidden", "head") if args.smoke else ("hidden", "head", "whole"):
            one = replaced(model, part, data, args.seed, niterations=2)
            found.append(one)
            verdicts = ", ".join(f"{n} {kind}" for kind, n in one.verdicts.items())
            print(
                f"  {part:7} as equations: accuracy {one.accuracy:.1%}; verdicts: {verdicts} ({one.seconds:.0f} CPU-s)"
            )
            print(f"          y0 = {one.shown}", flush=True)
            failed += [f"{name}: {what}" for what in failures(one, before)]
        results[name] = before, found
    if args.plot:
        draw(results, args.plot)
    if failed:
        sys.exit("claims that failed: " + "; ".join(failed))
    print("\nclaims hold")


if __name__ == "__main__":
    main()
