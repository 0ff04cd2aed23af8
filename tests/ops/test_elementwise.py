"""Elementwise functions of one array."""

import numpy as np
import pytest

from arrmb.ops import elementwise

HOLOMORPHIC = "exp expm1 log log1p log2 log10 sqrt square reciprocal sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh negative"


@pytest.mark.parametrize("name", HOLOMORPHIC.split())
def test_holomorphic(check, name):
    reference = {"asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "asinh": np.arcsinh, "acosh": np.arccosh,
                 "atanh": np.arctanh}.get(name) or getattr(np, name)
    low = 1.2 if name == "acosh" else 0.2

    def inputs(d):
        x = d.uniform(low, low + 0.6, 3, 2)
        return (x + 0.3j * d.uniform(0.5, 1.0, 3, 2) if d.complex else x,)

    check(getattr(elementwise, name), inputs, reference=reference)
