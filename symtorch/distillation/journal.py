"""Fronts on disk while a search goes on, so that a crash loses at most the stage under way."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from symtorch.engines.base import Engine, Progress, ProgressCallback
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.front import Front
from symtorch.errors import StateError
from symtorch.state import dumps, loads, read_front, read_interface, write_front, write_interface, write_options
from symtorch.state.files import write_atomically
from symtorch.surrogate.interface import Interface

logger = logging.getLogger("symtorch.journal")


FINAL = ("exact", "converged", "budget")
"""Reasons to stop after which there is nothing to go on with."""


@dataclass
class Journal:
    """One JSON file per output, each always whole.

    Attributes:
        folder: where the files are.
        interface: what the fronts' variables are.
        suffix: tells apart kinds of distillation of one block.
        resume: whether to go on from what is there.
    """

    folder: Path
    interface: Interface
    suffix: str = ""
    resume: bool = False
    _keys: dict[int, str] = field(default_factory=dict)
    _written: dict[int, tuple[Front, bool]] = field(default_factory=dict)

    def search(
        self,
        engine: Engine,
        samples: Samples,
        options: SearchOptions,
        outputs: Sequence[int],
        progress: ProgressCallback | None,
    ) -> dict[int, Front]:
        """What the engine finds for these outputs, on top of what an earlier search of the same has left.

        Outputs whose search was over are not searched again; the others start from their fronts, where
        the engine takes guesses.
        """
        self._keys = {i: request_key(samples, i, options.given, engine.name) for i in outputs}
        earlier = {i: found for i in outputs if self.resume and (found := self._read(i)) is not None}
        fronts = {i: front for i, (front, finished) in earlier.items() if finished}
        begun = {i: front for i, (front, finished) in earlier.items() if not finished}
        if self.resume:
            logger.info("resumed from %s: outputs %s are done, %s go on", self.folder, list(fronts), list(begun))
        bind = getattr(engine, "bind", None)
        if bind is not None:
            engine = bind(save_path=self.folder / engine.name)  # for the engine's own files
        to_search = [i for i in outputs if i not in fronts]
        if to_search:
            if begun and options.guesses is None and getattr(engine, "takes_guesses", False):
                options = _with_guesses(options, [begun.get(i) for i in to_search])
            report = self._recording(to_search, begun, progress)
            for i, front in zip(to_search, engine.search(samples.outputs(to_search), options, report), strict=True):
                fronts[i] = _merged(begun.get(i), front)
                self.write(i, fronts[i], self.is_final(front))
        return fronts

    def _recording(
        self, outputs: Sequence[int], begun: Mapping[int, Front], progress: ProgressCallback | None
    ) -> ProgressCallback:
        def record(report: Progress) -> None:
            for k, front in enumerate(report.fronts()):
                finished = k in report.finished or front.stop_reason == "exact"
                self.write(outputs[k], _merged(begun.get(outputs[k]), front), finished)
            if progress is not None:
                progress(report)

        return record

    @staticmethod
    def is_final(front: Front) -> bool:
        """Whether there is nothing to go on with."""
        return front.stop_reason in FINAL

    def path(self, output: int) -> Path:
        """The file of an output."""
        return self.folder / f"output_{output}{self.suffix}.json"

    def write(self, output: int, front: Front, finished: bool = False) -> None:
        """Put a front on the disk, if it is news."""
        before = self._written.get(output)
        if before is not None and (before[0].equations, before[1]) == (front.equations, finished):
            return
        path = self.path(output)
        if before is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            # The file of another search stays, once, beside the new one.
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, path.with_suffix(".previous.json"))
        content = {
            "key": self._keys.get(output, ""),
            "output": output,
            "finished": finished,
            "interface": write_interface(self.interface),
            "front": write_front(front),
        }
        write_atomically(path, dumps(content, "front"), sync=finished)
        self._written[output] = (front, finished)

    def _read(self, output: int) -> tuple[Front, bool] | None:
        """An output's front and whether its search was over; None where there is none of this request."""
        path = self.path(output)
        try:
            root = loads(path.read_bytes(), "front")
            if root["key"].text() != self._keys[output]:
                logger.info("%s is of other data or options; output %d is searched anew", path, output)
                return None
            interface = read_interface(root["interface"], self.interface.encoding.functions)
            found = read_front(root["front"], interface.variable_names), root["finished"].flag()
        except FileNotFoundError:
            return None
        except StateError as error:
            logger.warning("%s can't be read, output %d is searched anew: %s", path, output, error)
            return None
        self._written[output] = found
        return found


def request_key(samples: Samples, output: int, options: Mapping[str, Any], engine: str) -> str:
    """A hash of what decides on the result of a search: equal request, equal key."""
    plain = json.dumps(write_options(options), sort_keys=True)
    data = samples.outputs([output]).fingerprint()
    return hashlib.blake2b(f"{data}\n{plain}\n{engine}".encode(), digest_size=16).hexdigest()


def _with_guesses(options: SearchOptions, fronts: Sequence[Front | None]) -> SearchOptions:
    guesses = tuple([eq.text for eq in front or ()] for front in fronts)
    return replace(options, guesses=guesses, given={**options.given, "guesses": list(guesses)})


def _merged(earlier: Front | None, front: Front) -> Front:
    """The better of both at every complexity, under the later one's name."""
    if earlier is None:
        return front
    info = {name: getattr(front, name) for name in _INFO}
    return Front.from_candidates([*earlier, *front], **info)


_INFO = [f.name for f in fields(Front) if f.name != "equations"]
