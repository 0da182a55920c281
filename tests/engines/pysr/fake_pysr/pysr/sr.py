# ruff: noqa: T201
"""PySRRegressor's face, with least squares on each input behind it."""

import json
import os
import pickle
import signal
import sys
import time
from pathlib import Path

import numpy as np


class PySRRegressor:
    def __init__(
        self,
        model_selection="best",
        *,
        binary_operators=None,
        unary_operators=None,
        operators=None,
        expression_spec=None,
        niterations=100,
        maxsize=30,
        timeout_in_seconds=None,
        early_stop_condition=None,
        complexity_of_operators=None,
        extra_sympy_mappings=None,
        guesses=None,
        random_state=None,
        verbosity=1,
        progress=True,
        parallelism=None,
        warm_start=False,
        run_id=None,
        output_directory=None,
        temp_equation_file=False,
        behaviour="good",
        equations=None,
        **kwargs,
    ):
        for name, value in list(locals().items()):
            if name not in ("self", "kwargs"):
                setattr(self, name, value)

    @classmethod
    def from_file(cls, *, run_directory):
        with open(Path(run_directory) / "checkpoint.pkl", "rb") as file:
            model = cls()
            model.resumed_ = pickle.load(file)
        return model

    def set_params(self, **params):
        for name, value in params.items():
            setattr(self, name, value)

    def fit(self, X, y, *, weights=None, variable_names=None, X_units=None, y_units=None, complexity_of_variables=None):
        self.folder = Path(self.output_directory) / self.run_id
        self.folder.mkdir(parents=True, exist_ok=True)
        self.names = variable_names or [f"x{i}" for i in range(X.shape[1])]
        self._note(X, y, weights, X_units=X_units, y_units=y_units, complexity_of_variables=complexity_of_variables)
        behave = getattr(self, "_" + self.behaviour.split(":")[0])
        behave(X, y, weights)
        with open(self.folder / "checkpoint.pkl", "wb") as file:
            pickle.dump({"fitted": True}, file)
        return self

    def _note(self, X, y, weights, **fit):
        """What arrived, for the test to look at."""
        note = {
            **fit,
            "X": X.tolist(),
            "y": np.asarray(y).tolist(),
            "weights": None if weights is None else np.asarray(weights).tolist(),
            "names": list(self.names),
            "params": {k: v for k, v in vars(self).items() if isinstance(v, (str, int, float, list, dict, type(None)))},
            "mappings": {k: str(f(3)) for k, f in (self.extra_sympy_mappings or {}).items()},
            "stdin": sys.stdin.read(),
            "modules": [name for name in ("torch", "symtorch") if name in sys.modules],
            "xoptions": dict(sys._xoptions),
            "threads": os.environ.get("PYTHON_JULIACALL_THREADS"),
            "resumed": getattr(self, "resumed_", None),
        }
        note["params"].pop("extra_sympy_mappings", None)
        (self.folder / "note.json").write_text(json.dumps(note, default=str))

    # ---- a search

    def _rows(self, X, y, weights):
        if self.equations is not None:
            return [(2 * i + 1, 1.0 / (i + 1), text) for i, text in enumerate(self.equations)]
        w = np.ones(len(y)) if weights is None else np.asarray(weights)
        rows = [(1, np.average((y - np.average(y, weights=w)) ** 2, weights=w), repr(float(np.average(y, weights=w))))]
        fits = []
        for x, name in zip(X.T, self.names, strict=True):
            A = np.stack([x, np.ones_like(x)], axis=1)
            a, b = np.linalg.lstsq(A * np.sqrt(w)[:, None], y * np.sqrt(w), rcond=None)[0]
            loss = np.average((y - a * x - b) ** 2, weights=w)
            fits.append((5, float(loss), f"({name} * {float(a)!r}) + {float(b)!r}"))
        return [*rows, min(fits, key=lambda row: row[1])]

    def _write(self, rows):
        text = "Complexity,Loss,Equation\n" + "".join(f'{c},{loss},"{eq}"\n' for c, loss, eq in rows)
        for name in ("hall_of_fame.csv", "hall_of_fame.csv.bak"):
            (self.folder / name).write_text(text)

    def _good(self, X, y, weights):
        rows = self._rows(X, y, weights)
        for i in range(1, 4):
            self._write(rows[:i])
            print(f"Progress: {i} / 3 total iterations ({100 * i / 3:.3f}%)")
            time.sleep(0.3 if self.behaviour == "good:slow" else 0)

    def _sleep(self, X, y, weights):
        """Finds something, then goes on until it is interrupted, as PySR does."""
        self.interrupted_ = False

        def interrupt(*_):
            self.interrupted_ = True

        signal.signal(signal.SIGINT, interrupt)
        self._write(self._rows(X, y, weights))
        while not self.interrupted_:
            time.sleep(0.02)

    def _deaf(self, X, y, weights):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._write(self._rows(X, y, weights))
        time.sleep(600)

    def _idle(self, X, y, weights):
        """Under way, but with nothing found."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("[ Info: Started!")
        time.sleep(600)

    def _crash(self, X, y, weights):
        self._write(self._rows(X, y, weights))
        print("signal (11): Segmentation fault", file=sys.stderr)
        os._exit(139)

    def _oom(self, X, y, weights):
        self._write(self._rows(X, y, weights))
        os.kill(os.getpid(), signal.SIGKILL)

    def _nothing(self, X, y, weights):
        print("OutOfMemoryError()")
        os.kill(os.getpid(), signal.SIGKILL)

    def _torn(self, X, y, weights):
        """Dies while it writes the file for the second time."""
        rows = self._rows(X, y, weights)
        self._write(rows)
        whole = (self.folder / "hall_of_fame.csv").read_text()
        (self.folder / "hall_of_fame.csv").write_text(whole[: whole.index("*") - 1])
        os.kill(os.getpid(), signal.SIGKILL)

    def _rubbish(self, X, y, weights):
        os.write(1, b'\xff\xfe\x00{"event": "done", "output": 0}\n{"event": "failed"\n' * 2000)
        os.write(2, "Progress: ∞ / 0\r\r\n".encode() * 2000)
        self._good(X, y, weights)

    def _flood(self, X, y, weights):
        """A hall of fame without end; its process goes on."""
        n_rows = int(self.behaviour.split(":")[1])
        (self.folder / "hall_of_fame.csv").write_text("Complexity,Loss,Equation\n" + "1,0.5,x0\n" * n_rows)
        time.sleep(600)

    def _flood_of_two(self, X, y, weights):
        self.behaviour = "flood:1000000"
        return self._flood(X, y, weights) if self.run_id.endswith("output0") else self._good(X, y, weights)

    def _error(self, X, y, weights):
        raise ValueError("PySR requires a maxsize of at least 7")

    def _one_of_two(self, X, y, weights):
        """The second output's process dies before it has found anything."""
        return self._nothing(X, y, weights) if self.run_id.endswith("output1") else self._good(X, y, weights)
