"""Second-order pooling: Gram matrices, and their functions on the small side."""

import numpy as np
import pytest

from arrmb.ops import scalar
from arrmb.ops.pooling import _large_side, gram, small_side
from arrmb.ops.spectral import spectral  # noqa: F401


def test_gram(check):
    check(gram, lambda d: (d.normal(5, 3),), reference=lambda f: np.conj(np.swapaxes(f, -1, -2)) @ f)


@pytest.mark.parametrize("name", ["log", "sqrt", "invsqrt"])
def test_small_side(check, name):
    kernel = getattr(scalar, name)
    f = {"log": np.log, "sqrt": np.sqrt, "invsqrt": lambda w: w**-0.5}[name]

    def reference(x):
        w, v = np.linalg.eigh(np.conj(np.swapaxes(x, -1, -2)) @ x + 0.1 * np.eye(x.shape[-1]))
        return (v * f(w)[..., None, :]) @ np.conj(np.swapaxes(v, -1, -2))

    check(
        small_side,
        lambda d: (d.normal(2, 4),),
        params={"kernel": kernel, "epsilon": 0.1},
        reference=reference,
        at=[
            lambda d: (d.with_singular_values(3, 5, (1, 1, 1)),),  # tied
            lambda d: (d.with_singular_values(3, 5, (1, 1 + 1e-9, 2)),),  # nearly tied
            lambda d: (d.with_singular_values(3, 4, (2.0,)),),  # rank 1
        ],
    )


@pytest.mark.parametrize("epsilon", [1e-3, 1e-1, 10.0])
def test_both_sides_agree(backend, epsilon):
    rng = np.random.default_rng(0)
    f = backend.put(rng.standard_normal((2, 3, 6)), "float64")
    small = backend.get(small_side(f, kernel=scalar.log, epsilon=epsilon))
    large = backend.get(_large_side(f, kernel=scalar.log, epsilon=epsilon))
    assert np.linalg.norm(small - large) <= 1e-12 * np.linalg.norm(large)
