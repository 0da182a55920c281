"""A block and data -> rows of what goes into the block and what comes out; knows nothing of equations."""

from symtorch.capture.batches import call_plain
from symtorch.capture.calls import Layout
from symtorch.capture.fingerprint import fingerprint
from symtorch.capture.padding import USUAL_MASK, Rows
from symtorch.capture.rows import Block, Captured, Teacher
from symtorch.capture.run import Forward, capture

__all__ = [
    "USUAL_MASK",
    "Block",
    "Captured",
    "Forward",
    "Layout",
    "Rows",
    "Teacher",
    "call_plain",
    "capture",
    "fingerprint",
]
