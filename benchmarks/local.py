"""Local explanations: fidelity and stability of explain (SLIME) against LIME and a linear fit.

Eight tabular data sets of scikit-learn, three kinds of model. For each of some test points every method
explains the same number, and is judged on the same fresh points around the point, which none of
them has seen: normal, with half the variance of the ten nearest rows of the data along each column
(SLIME's neighbourhood). Fidelity is R² against the model there; stability is how well explanations of
two seeds agree there, 1 - mean squared difference / variance of the model. Both are clipped to [0, 1]
before the mean is taken, which is kind to whoever is far off. Points where the model is flat around
the point are counted and left out.

LIME comes in two ways: as it is by default (columns cut at quartiles, samples all over the data), and
continuous, with its samples around the point. Its equations are read from its own coefficients, and
checked against the prediction that it reports itself. "no search" is explain with engine=None: its sparse
polynomials alone. "linear" is weighted least squares on the very
rows that explain searches on.

    python benchmarks/local.py --points 50

needs: pip install lime scikit-learn
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import record
from lime.lime_tabular import LimeTabularExplainer
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from symtorch.local.explain import explain
from symtorch.local.frame import Frame
from symtorch.local.neighbourhood import Neighbourhood

Model = Callable[[np.ndarray], np.ndarray]
"""(n_rows, n_inputs) -> (n_rows, n_outputs)."""

Predict = Callable[[np.ndarray], np.ndarray]
"""A local equation: (n_rows, n_inputs) -> (n_rows,)."""

METHODS = ("explain", "no search", "linear", "lime", "lime around x")
N_FRESH = 500


def mlp(kind: Any, **kwargs: Any) -> Any:
    net = kind(hidden_layer_sizes=(32, 32), max_iter=3000, random_state=0, **kwargs)
    if kind is MLPRegressor:
        return make_pipeline(StandardScaler(), TransformedTargetRegressor(net, transformer=StandardScaler()))
    return make_pipeline(StandardScaler(), net)


def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = datasets.load_digits(return_X_y=True)
    return PCA(8, random_state=0).fit_transform(X), y


def linnerud() -> tuple[np.ndarray, np.ndarray]:
    X, Y = datasets.load_linnerud(return_X_y=True)
    return X, Y[:, 0]


PROBLEMS: dict[str, tuple[Callable, Callable]] = {
    "iris": (lambda: datasets.load_iris(return_X_y=True), lambda: mlp(MLPClassifier)),
    "wine": (lambda: datasets.load_wine(return_X_y=True), lambda: RandomForestClassifier(100, random_state=0)),
    "breast cancer": (
        lambda: datasets.load_breast_cancer(return_X_y=True),
        lambda: GradientBoostingClassifier(random_state=0),
    ),
    "digits, 8 PCs": (digits, lambda: mlp(MLPClassifier)),
    "diabetes": (lambda: datasets.load_diabetes(return_X_y=True), lambda: GradientBoostingRegressor(random_state=0)),
    "linnerud": (linnerud, lambda: mlp(MLPRegressor)),
    "friedman1": (
        lambda: datasets.make_friedman1(500, noise=0.5, random_state=0),
        lambda: RandomForestRegressor(100, random_state=0),
    ),
    "friedman2": (lambda: datasets.make_friedman2(500, noise=10, random_state=0), lambda: mlp(MLPRegressor)),
}


def fidelity(prediction: np.ndarray, truth: np.ndarray) -> float:
    return float(np.clip(1 - np.mean((prediction - truth) ** 2) / truth.var(), 0, 1))


def neighbourhood(X: np.ndarray, x: np.ndarray) -> Neighbourhood:
    """The ten nearest rows and what is around them, as explain takes them by default."""
    return Frame.make(X, x, [f"x{i}" for i in range(X.shape[1])], ()).neighbourhood(X)


def by_explain(X: np.ndarray, x: np.ndarray, model: Model, output: int, seed: int) -> Predict:
    return explain(model, X, x, output=output, seed=seed).predict


def by_linear(X: np.ndarray, x: np.ndarray, model: Model, output: int, seed: int) -> Predict:
    """Least squares on the rows that explain draws, with its weights (same seed, same rows)."""
    around = neighbourhood(X, x)
    near = X[around.near(X)]
    spread = around.variance(near)
    new = around.draw(1000, spread, np.random.default_rng(seed))
    weights = np.concatenate([np.ones(10), around.weights(new, spread)])
    rows = np.concatenate([near, new])
    root = np.sqrt(weights)[:, None]
    scale = np.sqrt(spread)
    A = np.column_stack([np.ones(len(rows)), (rows - x) / scale])
    c = np.linalg.lstsq(A * root, model(rows)[:, output] * root[:, 0], rcond=None)[0]
    return lambda Z: c[0] + (Z - x) / scale @ c[1:]


def by_lime(X: np.ndarray, x: np.ndarray, model: Model, output: int, seed: int, around: bool = False) -> Predict:
    classify = model(x[None]).shape[1] > 1
    explainer = LimeTabularExplainer(
        X,
        mode="classification" if classify else "regression",
        discretize_continuous=not around,
        sample_around_instance=around,
        random_state=seed,
    )
    label = output if classify else 1
    found = explainer.explain_instance(
        x,
        model if classify else lambda Z: model(Z)[:, 0],
        num_features=X.shape[1],
        **({"labels": (label,)} if classify else {}),
    )
    coefficients = np.zeros(X.shape[1])
    for column, value in found.local_exp[label]:
        coefficients[column] = value
    intercept = found.intercept[label]

    def predict(Z: np.ndarray) -> np.ndarray:
        if around:
            inputs = (Z - explainer.scaler.mean_) / explainer.scaler.scale_
        else:
            inputs = explainer.discretizer.discretize(Z) == explainer.discretizer.discretize(x[None])
        return intercept + inputs @ coefficients

    assert np.allclose(predict(x[None]), found.local_pred, atol=1e-8), "LIME's equation was read wrongly"
    return predict


BY: dict[str, Callable[[np.ndarray, np.ndarray, Model, int, int], Predict]] = {
    "explain": by_explain,
    "no search": lambda X, x, model, output, seed: explain(model, X, x, output=output, seed=seed, engine=None).predict,
    "linear": by_linear,
    "lime": by_lime,
    "lime around x": lambda X, x, model, output, seed: by_lime(X, x, model, output, seed, around=True),
}


def run(name: str, n_points: int, n_stability: int) -> dict:
    load, make = PROBLEMS[name]
    X, y = load()
    X = np.asarray(X, dtype=np.float64)
    fitted = make().fit(X, y)
    classify = hasattr(fitted, "predict_proba")
    model = fitted.predict_proba if classify else lambda Z: fitted.predict(Z).reshape(-1, 1)
    points = X if len(X) <= n_points else train_test_split(X, test_size=n_points, random_state=0)[1]
    scores: dict = {m: {"fidelity": [], "stability": [], "seconds": 0.0} for m in METHODS}
    flat = 0
    for i, x in enumerate(points):
        output = int(model(x[None])[0].argmax())
        around = neighbourhood(X, x)
        spread = around.variance(X[around.near(X)])
        fresh = around.draw(N_FRESH, spread, np.random.default_rng(10_000 + i))
        truth = model(fresh)[:, output]
        if truth.std() <= 1e-9 * max(abs(truth).max(), 1e-300):
            flat += 1
            continue
        for method in METHODS:
            started = time.process_time()
            prediction = BY[method](X, x, model, output, 0)(fresh)
            scores[method]["seconds"] += time.process_time() - started
            scores[method]["fidelity"].append(fidelity(prediction, truth))
            if i < n_stability:
                again = BY[method](X, x, model, output, 1)(fresh)
                agreement = 1 - np.mean((prediction - again) ** 2) / truth.var()
                scores[method]["stability"].append(float(np.clip(agreement, 0, 1)))
    n = len(scores["explain"]["fidelity"])
    summary = {
        m: {
            "fidelity": float(np.mean(s["fidelity"])),
            "stability": float(np.mean(s["stability"])) if s["stability"] else float("nan"),
            "seconds": s["seconds"] / n,
        }
        for m, s in scores.items()
    }
    return {"name": name, "model": type(fitted).__name__, "points": n, "flat": flat, "methods": summary}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=50, help="test points per data set")
    parser.add_argument("--stability", type=int, default=10, help="points that are explained with a second seed")
    parser.add_argument("--only", nargs="*", choices=list(PROBLEMS), default=list(PROBLEMS))
    parser.add_argument("--json", help="write the figures to this file")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")  # of the models' training and of LIME
    head = "".join(f"{m:>24}" for m in METHODS)
    print(f"{'mean fidelity / stability / CPU seconds per point':<44}{head}")
    results = []
    for name in args.only:
        result = run(name, args.points, args.stability)
        results.append(result)
        cells = "".join(
            f"{s['fidelity']:>10.3f}{s['stability']:>7.2f}{s['seconds']:>7.2f}" for s in result["methods"].values()
        )
        print(f"{name:<15}{result['points']:>3} points, {result['flat']:>2} flat         {cells}", flush=True)
    for rival in METHODS[1:]:
        wins = sum(r["methods"]["explain"]["fidelity"] > r["methods"][rival]["fidelity"] for r in results)
        print(f"explain has the higher mean fidelity than {rival!r} on {wins} of {len(results)}")
    if args.json:
        record.keep(args.json, results)


if __name__ == "__main__":
    main()
