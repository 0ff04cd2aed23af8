"""Standardisation over groups of channels."""

import numpy as np
import pytest

import arrmb
from arrmb.ops.group_standardize import group_standardize


def loops(x, groups, eps):
    y = np.empty_like(x)
    width = x.shape[-1] // groups
    for g in range(groups):
        part = x[..., g * width : (g + 1) * width]
        sigma = np.sqrt(np.var(part, axis=(-3, -2, -1), keepdims=True) + eps)
        y[..., g * width : (g + 1) * width] = (part - np.mean(part, axis=(-3, -2, -1), keepdims=True)) / sigma
    return y


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_standardize(check, groups):
    params = {"groups": groups, "eps": 1e-3}
    check(group_standardize, lambda d: (d.normal(3, 2, 6),), params=params, reference=lambda x: loops(x, groups, 1e-3))


def test_constant_group(check):
    """A variance of zero is an ordinary point: Y = 0, dY = (dX - E dX)/sqrt(eps)."""
    check(group_standardize, lambda d: (np.full((3, 2, 2), 3.0),), params={"groups": 2, "eps": 0.5}, batch=False)


def test_large_mean_in_float32(backend):
    """The mean goes before the squares: a mean of 1e3 costs three digits of seven, not six."""
    x = np.random.default_rng(0).standard_normal((5, 10, 4)) + 1e3
    y = group_standardize(backend.put(x, "float32"), groups=2, eps=1e-6)
    rounding = 4 * np.finfo(np.float32).eps * 1e3  # of x itself, and of the mean
    assert np.max(np.abs(backend.get(y) - loops(x, 2, 1e-6))) < rounding
    assert arrmb.namespace(y) is arrmb.namespace(backend.put(x, "float32"))
