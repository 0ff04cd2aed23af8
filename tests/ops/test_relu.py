"""Rectifier."""

import numpy as np

import arrmb
from arrmb.ops.relu import relu


def away_from_zero(d):
    return (d.uniform(0.2, 1.0, 3, 4) * np.sign(d.real(3, 4)),)


def test_relu(check_real):
    check_real(relu, away_from_zero, reference=lambda x: np.maximum(x, 0.0))


def test_at_the_kink(backend):
    """0 at 0 (no half as for a maximum of two arrays), on both sides of it the one-sided derivative; NaN stays NaN."""
    x = backend.put(np.asarray([-1.0, 0.0, 2.0]), "float32")
    slope = arrmb.grad(lambda x: arrmb.namespace(x).sum(relu(x)))(x)
    assert backend.get(slope).tolist() == [0.0, 0.0, 1.0]
    assert np.isnan(backend.get(relu(backend.put(np.asarray([np.nan]), "float64")))[0])
