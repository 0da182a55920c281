"""Fronts on disk while a search goes on, so that a crash loses at most the stage under way."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import stat
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from symtorch.distillation.growth import search
from symtorch.engines.base import Availability, Engine, Progress, ProgressCallback
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.front import Front
from symtorch.errors import StateError
from symtorch.state import dumps, loads, read_front, read_interface, write_front, write_interface, write_options
from symtorch.state.budget import MAX_BYTES
from symtorch.state.files import write_atomically
from symtorch.state.node import shorten
from symtorch.surrogate.interface import Interface

logger = logging.getLogger("symtorch.journal")


FINAL = ("exact", "converged", "budget")
"""Reasons to stop after which there is nothing to go on with."""


@dataclass
class Journalled(Engine):
    """An engine that keeps on disk what the engine in it finds: one JSON file per output, each always whole.

    A disk that fails costs the files, never the search: it is said once, and the fronts are kept in memory alone.

    Attributes:
        engine: the one that searches.
        folder: where the files are.
        interface: what the fronts' variables are.
        suffix: tells apart kinds of distillation of one block.
        resume: whether to go on from what is there.
    """

    engine: Engine
    folder: Path
    interface: Interface
    suffix: str = ""
    resume: bool = False
    _keys: dict[int, str] = field(default_factory=dict, repr=False)
    _written: dict[int, tuple[Front, bool]] = field(default_factory=dict, repr=False)
    _broken: bool = field(default=False, repr=False)

    @property
    def name(self) -> str:
        return self.engine.name

    @property
    def takes_guesses(self) -> bool:
        return self.engine.takes_guesses

    @property
    def takes_gradients(self) -> bool:
        return self.engine.takes_gradients

    @property
    def parameters(self) -> Collection[str]:
        return self.engine.parameters

    def check(self, options: SearchOptions) -> None:
        self.engine.check(options)

    def bind(self, fit_params: Mapping[str, Any] | None = None, save_path: str | Path | None = None) -> Journalled:
        """Fit parameters are for the engine in it; a folder is for the files of both."""
        folder = self.folder if save_path is None else Path(save_path)
        return Journalled(self.engine.bind(fit_params=fit_params), folder, self.interface, self.suffix, self.resume)

    def availability(self) -> Availability:
        return self.engine.availability()

    def search(self, samples: Samples, options: SearchOptions, progress: ProgressCallback | None = None) -> list[Front]:
        """What the engine finds, on top of what an earlier search of the same has left.

        Outputs whose search was over are not searched again; the others start from their fronts, where
        the engine takes guesses.
        """
        outputs = samples.output_indices
        self._keys = {i: request_key(samples, k, options.given, self.name) for k, i in enumerate(outputs)}
        earlier = {i: found for i in outputs if self.resume and (found := self._read(i)) is not None}
        fronts = {i: front for i, (front, finished) in earlier.items() if finished}
        begun = {i: front for i, (front, finished) in earlier.items() if not finished}
        if self.resume:
            logger.info("resumed from %s: outputs %s are done, %s go on", self.folder, list(fronts), list(begun))
        to_search = [i for i in outputs if i not in fronts]
        if to_search:
            if begun and options.guesses is None and self.takes_guesses:
                options = _with_guesses(options, [begun.get(i) for i in to_search])
            self._try_folder()
            # For the engine's own files, which it would fail over.
            engine = self.engine if self._broken else self.engine.bind(save_path=self.folder / self.name)
            part = samples.outputs([outputs.index(i) for i in to_search])
            new = search(engine, part, options, self._recording(to_search, begun, progress))
            for i, front in zip(to_search, new, strict=True):
                fronts[i] = _merged(begun.get(i), front)
                self._write(i, fronts[i], _is_final(front))
        return [fronts[i] for i in outputs]

    def keep(self, fronts: Mapping[int, Front]) -> None:
        """Put the judged fronts in the place of those that were written while the search went on."""
        for i, front in fronts.items():
            self._write(i, front, _is_final(front))
        self.engine.keep(fronts)

    def _recording(
        self, outputs: Sequence[int], begun: Mapping[int, Front], progress: ProgressCallback | None
    ) -> ProgressCallback:
        def record(report: Progress) -> None:
            for k, front in enumerate(report.fronts()):
                finished = k in report.finished or front.stop_reason == "exact"
                self._write(outputs[k], _merged(begun.get(outputs[k]), front), finished)
            if progress is not None:
                progress(report)

        return record

    def _path(self, output: int) -> Path:
        """The file of an output."""
        return self.folder / f"output_{output}{self.suffix}.json"

    def _write(self, output: int, front: Front, finished: bool = False) -> None:
        """Put a front on the disk, if it is news, and as long as the disk takes it."""
        before = self._written.get(output)
        news = (front.equations, front.evidence, finished)
        same = before is not None and (before[0].equations, before[0].evidence, before[1]) == news
        if self._broken or same:
            return
        content = {
            "key": self._keys.get(output, ""),
            "output": output,
            "finished": finished,
            "interface": write_interface(self.interface),
            "front": write_front(front),
        }
        try:
            self._put(self._path(output), dumps(content, "front"), new=before is None, sync=finished)
        except OSError as error:
            self._give_up(error)
        else:
            self._written[output] = (front, finished)

    def _put(self, path: Path, data: bytes, new: bool, sync: bool) -> None:
        if new:
            self.folder.mkdir(parents=True, exist_ok=True)
            # The file of another search stays, once, beside the new one.
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, path.with_suffix(".previous.json"))
        write_atomically(path, data, sync)

    def _try_folder(self) -> None:
        """Find out, before hours of search, whether anything can be written there."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder) as file:
                file.write(b"symtorch")
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Say once that nothing more is written; what is on the disk already stays."""
        self._broken = True
        logger.warning(
            "fronts can't be kept in %s: %s. The search goes on, and gives its fronts at the end as ever; should it "
            "be interrupted, resume=True finds what was written so far.",
            shorten(self.folder, 200),
            shorten(error, 300),
        )

    def _read(self, output: int) -> tuple[Front, bool] | None:
        """An output's front and whether its search was over; None where there is none of this request."""
        path = self._path(output)
        try:
            data = _content(path)
            if data is None:
                return None
            root = loads(data, "front")
            if root["key"].text() != self._keys[output]:
                logger.info("%s is of other data or options; output %d is searched anew", path, output)
                return None
            interface = read_interface(root["interface"], self.interface.encoding.functions)
            found = read_front(root["front"], interface.variable_names), root["finished"].flag()
        except (OSError, StateError) as error:
            logger.warning(
                "%s can't be read, output %d is searched anew: %s", shorten(path, 200), output, shorten(error, 500)
            )
            return None
        self._written[output] = found
        return found


def _content(path: Path) -> bytes | None:
    """What a file holds, as much of it as is ever read; None where there is none."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for, a device has no end
            raise OSError("it is not a file")
    except FileNotFoundError:
        return None
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _is_final(front: Front) -> bool:
    """Whether there is nothing to go on with."""
    return front.stop_reason in FINAL


def request_key(samples: Samples, column: int, options: Mapping[str, Any], engine: str) -> str:
    """A hash of what decides on the result of a search for this column of Y: equal request, equal key."""
    plain = json.dumps(write_options(options), sort_keys=True)
    data = samples.outputs([column]).fingerprint()
    return hashlib.blake2b(f"{data}\n{plain}\n{engine}".encode(), digest_size=16).hexdigest()


def _with_guesses(options: SearchOptions, fronts: Sequence[Front | None]) -> SearchOptions:
    guesses = tuple([eq.text for eq in front or ()] for front in fronts)
    return replace(options, guesses=guesses, given={**options.given, "guesses": list(guesses)})


def _merged(earlier: Front | None, front: Front) -> Front:
    """The better of both at every complexity, under the later one's name."""
    if earlier is None:
        return front
    info = {name: getattr(front, name) for name in _INFO}
    info["evidence"] = front.evidence.and_before(earlier.evidence)
    return Front.from_candidates([*earlier, *front], **info)


_INFO = [f.name for f in fields(Front) if f.name != "equations"]
