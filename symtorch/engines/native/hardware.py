"""Where a search runs: on which device, in how many threads, with how little collecting of garbage."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

logger = logging.getLogger("symtorch.engines.native")

GPU_ROOM = 1 << 30
"""Bytes that must be free on a GPU for the search to go there: the large bank takes a tenth of that, products with
it several times as much, and the user's model must go on, too."""


def device() -> torch.device:
    """Where the bank lives: on the GPU if there is one with room beside the user's model."""
    if torch.cuda.is_available():
        try:
            free, _ = torch.cuda.mem_get_info()
        except RuntimeError as error:  # a driver without a device, another process's exclusive one
            logger.warning("the GPU can't be used (%s); searching on the CPU", error)
        else:
            if free >= GPU_ROOM:
                return torch.device("cuda")
            logger.info("the GPU has %d MB free, too few; searching on the CPU", free >> 20)
    return torch.device("cpu")


_threads_lock = threading.Lock()
_threads_inside = 0
_threads_before = 1


@contextmanager
def one_thread() -> Iterator[None]:
    """The products are small: a second thread costs more than it brings.

    Several searches may run in threads of one process, and the setting is partly the process's: what it
    was before the first of them is put back.
    """
    global _threads_inside, _threads_before
    with _threads_lock:
        if _threads_inside == 0:
            _threads_before = torch.get_num_threads()
        _threads_inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _threads_lock:
            _threads_inside -= 1
            torch.set_num_threads(_threads_before)


_YOUNG = (10_000, 20, 10)
"""Thresholds of the generations (:func:`gc.set_threshold`) while a search runs: its trees hold no cycles."""

_collecting_lock = threading.Lock()
_collecting_inside = 0
_collecting_before = (0, 0, 0)
_frozen_here = False


@contextmanager
def few_collections() -> Iterator[None]:
    """Garbage is collected seldom, and what was there before is not looked through.

    A search makes millions of small nodes that references alone free, and each some thousand of them set the
    collector of cycles off, over all modules and the user's objects: a fifth of a search's time, four fifths of that
    of writing a thousand lines. The settings are the process's: they are put back after the last of several searches.
    """
    global _collecting_inside, _collecting_before, _frozen_here
    with _collecting_lock:
        if _collecting_inside == 0:
            _collecting_before = gc.get_threshold()
            if _collecting_before[0] > 0:  # else it is off, which is fewer still
                gc.set_threshold(*(max(few, own) for few, own in zip(_YOUNG, _collecting_before, strict=True)))
            _frozen_here = gc.get_freeze_count() == 0  # else the user has done so, and it stays
            if _frozen_here:
                gc.freeze()
        _collecting_inside += 1
    try:
        yield
    finally:
        with _collecting_lock:
            _collecting_inside -= 1
            if _collecting_inside == 0:
                gc.set_threshold(*_collecting_before)
                if _frozen_here:
                    gc.unfreeze()
