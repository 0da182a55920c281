"""Local explanations beside others: around a point, how far does an explanation's function follow the model?

Two models: a network that tells two spirals apart, and one that predicts progress of diabetes (scikit-learn's tabular
data). For each of some points, `symtorch.explain` (SLIME), the tangent plane (the gradient), a least-squares plane and,
where they are installed, LIME (`lime`), SHAP (`shap`: kernel and gradient) and Captum (`captum`: kernel SHAP and
integrated gradients) explain the same number. Each explanation is read as a function of the inputs: attributions are
the slopes of a plane through the model's value, by their share of each deviation from the base point. It is judged on
fresh points around the point: R² (below 0 counts as 0), agreement of two seeds, and time. Claim: on both, `explain`
follows the model most closely.

    python examples/local_explanations.py [--points 8] [--seed 0] [--plot local_explanations.png]
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

import symtorch

Function = Callable[[np.ndarray], np.ndarray]
"""(n, inputs) -> (n,)."""


@dataclass(frozen=True)
class Problem:
    """A model and its data.

    Attributes:
        net: the model, (n, inputs) -> (n, 1).
        data: rows (n, inputs), each input of spread one.
        spread: standard deviation of the points around a point.
    """

    net: nn.Module
    data: np.ndarray
    spread: float

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self.net(torch.from_numpy(rows)).numpy()[:, 0]

    def around(self, x: np.ndarray, n: int, seed: int) -> np.ndarray:
        return x + self.spread * np.random.default_rng(seed).normal(size=(n, len(x)))


def trained(x: np.ndarray, y: np.ndarray, width: int, steps: int) -> nn.Module:
    """A tanh network that has learned y (n,) from x (n, inputs)."""
    net = nn.Sequential(
        nn.Linear(x.shape[1], width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1)
    ).double()
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)[:, None]
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        (net(inputs) - targets).square().mean().backward()
        optimizer.step()
    return net


def spirals(steps: int) -> Problem:
    """Which of two spirals a point of the plane is on, as +1 or -1."""
    t = np.sqrt(np.linspace(0.05, 1, 300)) * 2 * math.pi
    arm = np.stack([t * np.cos(t), t * np.sin(t)], axis=1) / (2 * math.pi)
    data = np.concatenate([arm, -arm]) / arm.std()
    return Problem(trained(data, np.repeat([1.0, -1.0], len(arm)), 32, steps), data, 0.2)


def diabetes(steps: int) -> Problem:
    """Progress of diabetes by ten measurements of a patient."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    data = x / x.std(axis=0)
    return Problem(trained(data, (y - y.mean()) / y.std(), 16, steps // 4), data, 0.7)


def slime(problem: Problem, x: np.ndarray, seed: int) -> Function:
    return symtorch.explain(problem, problem.data, x, var=problem.spread**2, kernel_width=math.inf, seed=seed).predict


def plane(problem: Problem, x: np.ndarray, slopes: np.ndarray) -> Function:
    """The plane through the model's value at x."""
    value = problem(x[None])[0]
    return lambda rows: value + (rows - x) @ slopes


def tangent(problem: Problem, x: np.ndarray, seed: int) -> Function:
    point = torch.from_numpy(x[None].copy()).requires_grad_()
    return plane(problem, x, torch.autograd.grad(problem.net(point).sum(), point)[0][0].numpy())


def least_squares(problem: Problem, x: np.ndarray, seed: int) -> Function:
    """The nearest plane over as many points as `explain` draws."""
    rows = problem.around(x, 1000, seed)
    design = np.column_stack([np.ones(len(rows)), rows - x])
    best = np.linalg.lstsq(design, problem(rows), rcond=None)[0]
    return lambda rows: best[0] + (rows - x) @ best[1:]


def lime(problem: Problem, x: np.ndarray, seed: int) -> Function:
    from lime.lime_tabular import LimeTabularExplainer

    explainer = LimeTabularExplainer(
        problem.data, mode="regression", discretize_continuous=False, sample_around_instance=True, random_state=seed
    )
    found = explainer.explain_instance(x, problem, num_features=len(x))
    slopes = np.zeros(len(x))
    for column, value in found.local_exp[1]:
        slopes[column] = value
    inside = (x - explainer.scaler.mean_) / explainer.scaler.scale_
    value = found.intercept[1] + inside @ slopes
    return lambda rows: value + (rows - x) / explainer.scaler.scale_ @ slopes


def attributed(problem: Problem, x: np.ndarray, shares: np.ndarray, base: np.ndarray) -> Function:
    """Shares of the way from the mean of the base's rows to x, as slopes."""
    way = x - base.mean(axis=0)
    return plane(problem, x, np.divide(shares, way, out=np.zeros_like(way), where=abs(way) > 1e-9))


def integrated_gradients(problem: Problem, x: np.ndarray, seed: int) -> Function:
    from captum.attr import IntegratedGradients

    base = torch.from_numpy(problem.data.mean(axis=0)[None])
    shares = IntegratedGradients(problem.net).attribute(torch.from_numpy(x[None]), baselines=base, target=0)
    return attributed(problem, x, shares.detach().numpy()[0], problem.data)


def kernel_shap(problem: Problem, x: np.ndarray, seed: int) -> Function:
    from captum.attr import KernelShap

    torch.manual_seed(seed)
    base = torch.from_numpy(problem.data.mean(axis=0)[None])
    shares = KernelShap(problem.net).attribute(torch.from_numpy(x[None]), baselines=base, target=0, n_samples=200)
    return attributed(problem, x, shares.detach().numpy()[0], problem.data)


BACKGROUND = 100
"""Rows of the data that stand for it all in `shap`."""


def background(problem: Problem, seed: int) -> np.ndarray:
    return problem.data[np.random.default_rng(seed).permutation(len(problem.data))[:BACKGROUND]]


def shap_kernel(problem: Problem, x: np.ndarray, seed: int) -> Function:
    import shap

    rows = background(problem, seed)
    np.random.seed(seed)  # noqa: NPY002 - what shap draws from
    shares = shap.KernelExplainer(problem, rows).shap_values(x, nsamples=200, silent=True)
    return attributed(problem, x, shares, rows)


def shap_gradient(problem: Problem, x: np.ndarray, seed: int) -> Function:
    """Expected gradients: integrated ones, averaged over base points."""
    import shap

    rows = background(problem, seed)
    net = copy.deepcopy(problem.net).float()  # shap asks networks in single precision
    explainer = shap.GradientExplainer(net, torch.from_numpy(rows).float())
    shares = explainer.shap_values(torch.from_numpy(x[None]).float(), nsamples=200, rseed=seed)
    return attributed(problem, x, shares.reshape(len(x)), rows)


METHODS: dict[str, tuple[str, Callable[[Problem, np.ndarray, int], Function]]] = {
    "explain": ("symtorch", slime),
    "tangent plane": ("torch", tangent),
    "least-squares plane": ("numpy", least_squares),
    "LIME": ("lime", lime),
    "kernel SHAP (shap)": ("shap", shap_kernel),
    "gradient SHAP (shap)": ("shap", shap_gradient),
    "kernel SHAP (captum)": ("captum", kernel_shap),
    "integrated gradients": ("captum", integrated_gradients),
}
"""Name, the package that it needs, and (problem, point, seed) -> function."""


def share(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.clip(1 - np.mean((found - truth) ** 2) / truth.var(), 0, 1))


def judged(problem: Problem, points: np.ndarray) -> dict[str, tuple[float, float, float]]:
    """Mean R² on fresh points, agreement of two seeds and CPU-seconds for a point, by method."""
    scores = {}
    for name, (package, explained) in METHODS.items():
        if importlib.util.find_spec(package) is None:
            print(f"  {name:21} skipped: {package} is not installed")
            continue
        r2, agree, started = [], [], time.process_time()
        for i, x in enumerate(points):
            fresh = problem.around(x, 500, seed=10_000 + i)
            truth = problem(fresh)
            once, again = (explained(problem, x, seed)(fresh) for seed in (0, 1))
            r2.append(share(once, truth))
            agree.append(float(np.clip(1 - np.mean((once - again) ** 2) / truth.var(), 0, 1)))
        seconds = (time.process_time() - started) / (2 * len(points))
        scores[name] = float(np.mean(r2)), float(np.mean(agree)), seconds
        print(f"  {name:21} R² {scores[name][0]:.3f}, two seeds {scores[name][1]:.3f}, {seconds:.3f} CPU-s", flush=True)
    return scores


def draw(problem: Problem, x: np.ndarray, path: str) -> None:
    """The model around a point of the plane, and what `explain` and the tangent plane make of it."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    reach = 3 * problem.spread
    steps = np.linspace(-reach, reach, 60)
    rows = x + np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    fields: dict[str, Function] = {
        "model": problem,
        "explain": slime(problem, x, 0),
        "tangent plane": tangent(problem, x, 0),
    }
    figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained", sharey=True)
    for axis, (name, function) in zip(axes, fields.items(), strict=True):
        extent = (x[0] - reach, x[0] + reach, x[1] - reach, x[1] + reach)
        image = axis.imshow(
            function(rows).reshape(60, 60).T,
            origin="lower",
            extent=extent,
            vmin=-1.2,
            vmax=1.2,
            aspect="auto",
            cmap="RdBu_r",
        )
        axis.plot(*x, "k+")
        axis.set(title=name, xlabel="x0")
    axes[0].set_ylabel("x1")
    figure.colorbar(image, ax=axes)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", default="", help="where the picture goes")
    parser.add_argument("--smoke", action="store_true", help="one point of the spirals")
    args = parser.parse_args()
    torch.set_num_threads(1)  # networks so small gain nothing from more
    failed = []
    for name, make in {"two spirals": spirals, "diabetes": diabetes}.items():
        if args.smoke and name != "two spirals":
            continue
        torch.manual_seed(args.seed)
        problem = make(300 if args.smoke else 1200)
        order = np.random.default_rng(args.seed).permutation(len(problem.data))
        points = problem.data[order[: 1 if args.smoke else args.points]]
        print(f"\n{name}, {len(points)} points")
        scores = judged(problem, points)
        nearest = max(scores, key=lambda method: scores[method][0])
        if nearest != "explain":
            failed.append(f"{name}: {nearest} follows the model more closely")
        if args.plot and name == "two spirals":
            draw(problem, points[0], args.plot)
    if failed:
        sys.exit("claims that failed: " + "; ".join(failed))
    print("\nclaims hold")


if __name__ == "__main__":
    main()
