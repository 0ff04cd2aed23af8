"""Padé approximants, applied again and again: square roots, and their derivatives."""

import mpmath
import numpy as np
import pytest

from arrmb.ops.pade_sqrt import _M, _r, pade_root
from arrmb.testing import Draw

SPECTRUM = [0.3, 0.7, 1.0, 2.5]


def with_spectrum(w):
    return lambda d: (d.hermitian(w),)


def roots(x):
    w, v = np.linalg.eigh(x)
    return tuple((v * u[..., None, :]) @ np.conj(np.swapaxes(v, -1, -2)) for u in (np.sqrt(w), 1.0 / np.sqrt(w)))


def test_pade_root(check):
    at = [with_spectrum([1.0, 1.0, 1.0, 3.0]), with_spectrum([2.0] * 4), lambda d: (d.hermitian([0.5]),)]
    check(pade_root, with_spectrum(SPECTRUM), params={"iterations": 3}, reference=roots, at=at)


def test_the_partial_fractions_are_the_pade_approximant():
    """Its Taylor coefficients are those of (1 - z)^-½ up to the order 2m - 1, and no further."""
    with mpmath.workdps(40):
        taylor = mpmath.taylor(lambda z: 1 / mpmath.sqrt(1 - z), 0, 2 * _M - 1)
        p, q = mpmath.pade(taylor, _M - 1, _M)
        for z in (0.1, 0.5, 0.9, 0.999):
            powers = [mpmath.mpf(z) ** k for k in range(_M + 1)]
            truth = float(mpmath.fdot(p, powers[:_M]) / mpmath.fdot(q, powers))
            assert abs(_r(np.asarray([[1.0 - z]]))[0, 0] - truth) <= 1e-13 * truth


@pytest.mark.parametrize("condition, iterations", [(1e2, 3), (1e6, 5), (1e9, 7)])
def test_iterations_for_a_condition_number(condition, iterations):
    """The rates that the docstring tells: one step fewer is not enough."""
    x = np.diag([1.0, 1.0 / condition])
    errors = []
    for k in (iterations - 1, iterations):
        s, w = pade_root(x, iterations=k)
        errors.append(max(abs(np.diagonal(s) / np.diagonal(x) ** 0.5 - 1.0).max(), abs(np.diagonal(s * w) - 1).max()))
    assert errors[0] > 1e-14 >= errors[1]


def test_single_precision_stays_single(backend):
    y = pade_root(backend.put(Draw(1).hermitian(SPECTRUM), "float32"), iterations=3)
    assert all(v.dtype == backend.xp.float32 for v in y)
