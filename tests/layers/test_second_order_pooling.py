"""The pooling layer: both sides, masks, transforms, and wrong input."""

import numpy as np
import pytest

import arrmb
from arrmb.layers import second_order_pooling
from arrmb.testing import check_grads


def reference(f, transform, eps, weights=None, average=False):
    weights = np.ones(f.shape[0]) if weights is None else weights
    c = (f.T * weights) @ f / (weights.sum() if average else 1.0)
    if transform == "none":
        return c
    w, v = np.linalg.eigh(c + eps * np.eye(f.shape[1]))
    return (v * {"log": np.log, "power": np.sqrt}[transform](w)) @ v.T


@pytest.mark.parametrize("shape", [(7, 3), (3, 7), (1, 4), (4, 1)])
@pytest.mark.parametrize("transform", ["log", "power", "none"])
@pytest.mark.parametrize("average", [False, True])
def test_value_and_gradient(backend, rng, shape, transform, average):
    f = rng.standard_normal((2, *shape))
    x = backend.put(f, "float64")

    def layer(x):
        return second_order_pooling(x, transform=transform, eps=0.05, average=average)

    expected = [reference(one, transform, 0.05, average=average) for one in f]
    np.testing.assert_allclose(backend.get(layer(x)), expected, rtol=1e-10, atol=1e-12)
    check_grads(layer, (x,))


@pytest.mark.parametrize("n, d", [(6, 3), (4, 8)])
@pytest.mark.parametrize("average", [False, True])
def test_masks(backend, rng, n, d, average):
    f, m = rng.standard_normal((2, n, d)), rng.uniform(0.1, 1.0, size=(2, 3, n))
    x, masks = backend.put(f, "float64"), backend.put(m, "float64")

    def layer(x, masks):
        return second_order_pooling(x, masks=masks, eps=0.1, average=average)

    expected = [[reference(f[i], "log", 0.1, m[i, r], average) for r in range(3)] for i in range(2)]
    np.testing.assert_allclose(backend.get(layer(x, masks)), expected, rtol=1e-10, atol=1e-12)
    check_grads(lambda x: layer(x, masks), (x,))
    check_grads(layer, (x, masks))


def test_gradient_of_soft_masks_at_weight_zero(backend, rng):
    f, m = rng.standard_normal((4, 3)), np.asarray([[0.0, 1.0, 0.5, 0.0]])
    g = rng.standard_normal((3, 3))
    x, masks, g = (backend.put(v, "float64") for v in (f, m, g + g.T))

    def loss(masks):
        xp = arrmb.namespace(masks)
        return xp.sum(xp.multiply(g, second_order_pooling(x, masks=masks, eps=0.1)))

    got = backend.get(arrmb.grad(loss)(masks))
    h = 1e-5
    for i in range(4):  # one-sided second-order differences: the weights stay non-negative
        e = np.eye(4)[i] * h
        f0, f1, f2 = (float(loss(backend.put(m + t * e, "float64"))) for t in (0, 1, 2))
        assert got[0, i] == pytest.approx((4 * f1 - 3 * f0 - f2) / (2 * h), rel=1e-6)


def test_boolean_masks_and_an_empty_region(backend, rng):
    f = rng.standard_normal((5, 3))
    m = np.asarray([[True, True, False, True, False], [False] * 5])
    x, masks = backend.put(f, "float64"), backend.put(m, "float64")

    def loss(x):
        return arrmb.namespace(x).sum(second_order_pooling(x, masks=masks, eps=0.1, average=True)[1, ...])

    c = backend.get(second_order_pooling(x, masks=masks, eps=0.1, average=True))
    np.testing.assert_allclose(c[1], np.log(0.1) * np.eye(3), atol=1e-14)
    assert np.all(backend.get(arrmb.grad(loss)(x)) == 0.0)


def test_single_precision_is_kept(backend, rng):
    x = backend.put(rng.standard_normal((3, 20, 8)), "float32")
    y = second_order_pooling(x)
    assert y.dtype == x.dtype
    double = backend.get(second_order_pooling(backend.put(backend.get(x), "float64")))
    assert np.linalg.norm(backend.get(y) - double) <= 1e-5 * np.linalg.norm(double)


def test_dead_channels_and_large_features_in_single_precision(backend, rng):
    """The zero eigenvalues of F^T F are rounding errors of ±1e-7 times the largest, far below -eps: not an error."""
    f = 100.0 * rng.standard_normal((4, 50, 6))
    f[..., 2] = 0.0
    f[..., 4] = f[..., 1]
    x = backend.put(f, "float32")

    def loss(x):
        y = second_order_pooling(x)
        return arrmb.namespace(y).sum(y * y)

    assert np.all(np.isfinite(backend.get(second_order_pooling(x))))
    assert np.all(np.isfinite(backend.get(arrmb.grad(loss)(x))))


@pytest.mark.parametrize(
    "features, options, error, message",
    [
        (np.ones(3), {}, ValueError, r"features must have shape \(..., n, d\), got \(3,\)"),
        (np.ones((3, 2), dtype=int), {}, TypeError, "features must be a floating-point array, got int64"),
        ([[1.0]], {}, TypeError, "features must be a floating-point array, got list"),
        (np.ones((3, 2)), {"eps": 0.0}, ValueError, "eps must be a positive number"),
        (np.ones((3, 2)), {"transform": "sqrt"}, ValueError, 'transform must be "log", "power" or "none"'),
        (np.ones((3, 2)), {"masks": np.ones((2, 4))}, ValueError, r"masks must have shape \(..., r, 3\)"),
        (np.ones((3, 2)), {"masks": [1]}, TypeError, "masks must be an array"),
        (np.ones((3, 2)), {"masks": np.ones((1, 3)) * 1j}, TypeError, "masks must be real weights"),
        (np.ones((2, 3, 2)), {"masks": np.ones((3, 1, 3))}, ValueError, "the leading axes of masks"),
    ],
)
def test_wrong_input(features, options, error, message):
    with pytest.raises(error, match="second_order_pooling: " + message):
        second_order_pooling(features, **options)


def test_masks_of_another_backend():
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match="second_order_pooling: features and masks are arrays of different backends"):
        second_order_pooling(np.ones((3, 2)), masks=strict.ones((1, 3)))
