"""What a benchmark has measured, as a file: every result, and what was run where and when.

The site renders such files; see docs/tables.py, and docs/benchmarks.md for how they are made anew.
"""

from __future__ import annotations

import datetime
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import symtorch


def keep(path: str | Path, results: Sequence[Any]) -> None:
    """Write results, which are plain values, to a file of JSON, one to a line."""
    about = {
        "program": Path(sys.argv[0]).name,
        "arguments": _without_path(sys.argv[1:]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": _processor(),
        "threads": torch.get_num_threads(),
        "versions": {
            "torch-symbolic": symtorch.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    head = json.dumps(about, indent=1)[:-2]
    rows = ",\n  ".join(json.dumps(result) for result in results)
    Path(path).write_text(f'{head},\n "results": [\n  {rows}\n ]\n}}\n', encoding="utf-8")


def _without_path(arguments: Sequence[str]) -> list[str]:
    """The arguments that say what was measured: where the file goes is nobody's business."""
    left = list(arguments)
    if "--json" in left:
        at = left.index("--json")
        del left[at : at + 2]
    return left


def _processor() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()
