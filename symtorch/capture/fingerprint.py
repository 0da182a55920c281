"""Hashes of data and models: equal content, equal fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

_PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size, np.generic)
_CHUNK = 1 << 24


def fingerprint(*parts: Any, **options: Any) -> str | None:
    """A hash of everything that captured data depends on, or None where that can't be known.

    Tensors, arrays and modules count by every bit they hold, buffers and plain attributes included, so a
    step of training changes the fingerprint. Containers are gone through. Iterators, data loaders,
    plain functions and other objects may give something else the next time: None.

    >>> net = nn.Linear(2, 1)
    >>> before = fingerprint(torch.ones(3, 2), net, max_rows=100)
    >>> before == fingerprint(torch.ones(3, 2), net, max_rows=100)
    True
    >>> with torch.no_grad():
    ...     _ = net.weight.add_(1e-3)
    >>> before == fingerprint(torch.ones(3, 2), net, max_rows=100)
    False
    >>> fingerprint(iter([torch.ones(3, 2)]), net) is None
    True
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        _add(digest, (parts, options))
    except _UnknownError:
        return None
    return digest.hexdigest()


class _UnknownError(Exception):
    """Something whose content can't be known."""


def _add(digest: Any, value: Any) -> None:
    digest.update(f"<{type(value).__module__}.{type(value).__qualname__}>".encode())
    if isinstance(value, torch.Tensor):
        digest.update(f"{value.dtype} {value.device} {tuple(value.shape)} ".encode())
        _add_tensor(digest, value.detach())
    elif isinstance(value, np.ndarray) and value.dtype.kind in "fiubc":
        digest.update(f"{value.dtype.str} {value.shape} ".encode())
        digest.update(np.ascontiguousarray(value))
    elif isinstance(value, _PLAIN):
        digest.update(repr(value).encode())
    elif isinstance(value, nn.Module):
        _add_module(digest, value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _add(digest, key)
            _add(digest, item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            _add(digest, item)
    else:
        raise _UnknownError
    digest.update(b";")


def _add_module(digest: Any, module: nn.Module) -> None:
    digest.update(str(id(module)).encode())
    for name, child in module.named_modules(remove_duplicate=False):
        # Settings that aren't tensors (a dropout's rate, a switch) act on the output too.
        settings: dict[str, Any] = {k: v for k, v in vars(child).items() if isinstance(v, _PLAIN) and k != "training"}
        settings |= {k: id(v) for k, v in vars(child).items() if callable(v)}
        digest.update(f"{name} {type(child).__qualname__} {sorted(settings.items())!r}".encode())
        for key, tensor in (*child._parameters.items(), *child._buffers.items()):
            _add(digest, key)
            _add(digest, tensor)


def _add_tensor(digest: Any, tensor: torch.Tensor) -> None:
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise _UnknownError
    if tensor.is_meta:
        return
    flat = tensor.reshape(-1)
    if flat.is_conj() or flat.is_neg():
        flat = flat.resolve_conj().resolve_neg()
    for start in range(0, flat.numel(), _CHUNK):
        words = flat[start : start + _CHUNK].contiguous().view(torch.uint8)
        if words.device.type == "cpu":
            digest.update(words.numpy())
        else:
            digest.update(device_hash(words).cpu().numpy())


def device_hash(words: torch.Tensor) -> torch.Tensor:
    """Two 64-bit sums over the mixed bytes of a tensor (n,), uint8: (2,), int64, computed where it lies.

    Eight bytes make a word; each word is mixed with its position by the finalizer of SplitMix64
    (Steele, Lea & Flood, OOPSLA 2014), so changed and swapped words both show.
    """
    words = nn.functional.pad(words, (0, -len(words) % 8)).view(torch.int64)
    position = torch.arange(1, len(words) + 1, device=words.device)
    sums = []
    for odd in (-7046029254386353131, -4417276706812531889):  # 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
        mixed = words + position * odd
        for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
            mixed = (mixed ^ (mixed >> shift)) * factor
        sums.append((mixed ^ (mixed >> 31)).sum())
    return torch.stack(sums)
