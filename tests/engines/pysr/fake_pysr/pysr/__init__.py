"""A stand-in for the package pysr, for tests of the process around it: no Julia, no real search.

It writes the files that PySR writes, in their format and places, and misbehaves on request.
"""

import os
import sys

if os.environ.get("FAKE_PYSR_START") == "fail":
    raise RuntimeError("could not find Julia =1.10.0, 1.10.3")
if os.environ.get("FAKE_PYSR_START") == "die":
    os.abort()
if os.environ.get("FAKE_PYSR_START") == "hang":
    import time

    time.sleep(600)

from pysr.sr import PySRRegressor

assert "torch" not in sys.modules, "torch must not be in the process that Julia runs in"
__version__ = "0.0.fake"
__all__ = ["PySRRegressor", "TemplateExpressionSpec"]


class TemplateExpressionSpec:
    def __init__(self, combine, expressions, variable_names, parameters=None):
        self.combine = combine
        self.expressions = expressions
        self.variable_names = variable_names
        self.parameters = parameters
