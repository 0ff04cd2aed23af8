"""No pass of a layer or a matrix function looks at a value, where that would make the host wait for a GPU.

array-api-strict stands in for a GPU: its arrays are declared as ones that are not looked at, and looking at one, by
`bool`, `float`, `int`, an index or a conversion to NumPy, is an error. Under `jax.jit` the same is checked by JAX, in
`plugins/test_jax_cases.py`.
"""

import numpy as np
import pytest

import arrmb
from arrmb import _xp, layers, linalg, optim

strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
LOOKS = ("__bool__", "__float__", "__int__", "__complex__", "__index__", "__array__", "__dlpack__", "__buffer__")


def features(n=7, d=4, batch=3):
    return np.random.default_rng(0).standard_normal((batch, n, d))


def definite(n=4):
    x = features(7, n)
    return np.swapaxes(x, -1, -2) @ x + np.eye(n)


PASSES = {
    "second_order_pooling, log": (layers.second_order_pooling, features()),
    "second_order_pooling, power": (lambda x: layers.second_order_pooling(x, transform="power"), features()),
    "second_order_pooling, small side": (layers.second_order_pooling, features(3, 5)),
    "second_order_pooling, average": (lambda x: layers.second_order_pooling(x, average=True), features()),
    "logmh": (linalg.logmh, definite()),
    "sqrtmh": (linalg.sqrtmh, definite()),
    "sqrtmh, Newton-Schulz": (lambda x: linalg.sqrtmh(x, method="newton-schulz"), definite()),
    "invsqrtmh": (linalg.invsqrtmh, definite()),
    "eigh": (lambda x: linalg.eigh(x)[1], definite()),
    "eigvalsh": (linalg.eigvalsh, definite()),
    "svd": (lambda x: linalg.svd(x, full_matrices=False)[0], features()),
    "projector": (linalg.projector, features()),
    "cholesky": (linalg.cholesky, definite()),
    "inv": (linalg.inv, definite()),
    "relu": (layers.relu, features()),
    "absmh": (linalg.absmh, definite()),
    "signmh": (linalg.signmh, definite()),
    "powmh": (lambda x: linalg.powmh(x, 0.3), definite()),
    "schatten_norm": (lambda x: linalg.schatten_norm(x, 1.5), features()),
    "ky_fan_norm": (lambda x: linalg.ky_fan_norm(x, 2), features()),
    "top_projector": (lambda x: linalg.top_projector(x, 2), definite()),
    "window_projector": (lambda x: linalg.window_projector(x, 1.5, 5.0), definite()),
    "eigh_top": (lambda x: linalg.eigh_top(x, 2)[1], definite()),
    "svd_top": (lambda x: linalg.svd_top(x, 2)[0], features()),
    "polar": (lambda x: linalg.polar(x)[0], features()),
    "pinv": (linalg.pinv, features()),
    "det": (linalg.det, definite()),
    "qr": (lambda x: linalg.qr(x)[0], features()),
    "expm": (linalg.expm, definite()),
    "sqrtm": (linalg.sqrtm, definite()),
}


@pytest.fixture
def not_to_be_looked_at(monkeypatch):
    monkeypatch.setattr(_xp, "_NEVER_LOOKED_AT", (*_xp._NEVER_LOOKED_AT, "array_api_strict"))

    def look(self, *args, **kwargs):
        raise AssertionError("a value was looked at")

    for name in LOOKS:
        monkeypatch.setattr(type(strict.zeros(1)), name, look)
    monkeypatch.setattr(strict, "sign", look)  # array-api-compat's assigns NaN by a mask, which waits


@pytest.mark.parametrize("name", PASSES)
def test_forward_backward_and_tangent(name, not_to_be_looked_at):
    function, x = PASSES[name]
    x = strict.asarray(x)
    y, pullback = arrmb.vjp(function, x)
    (gradient,) = pullback(strict.ones_like(y))
    _, tangent = arrmb.jvp(function, (x,), (strict.ones_like(x),))
    assert gradient.shape == x.shape and tangent.shape == y.shape


def test_a_step_of_training(not_to_be_looked_at):
    x, weight = strict.asarray(features()), strict.asarray(np.ones((16, 2)))
    labels = strict.asarray([0, 1, 0])

    def loss(weight):
        c = layers.second_order_pooling(x)
        flat = arrmb.namespace(c).reshape(c, (3, 16))
        xp = arrmb.namespace(weight)
        return xp.mean(layers.softmax_cross_entropy(xp.matmul(flat, weight), labels))

    value, gradient = arrmb.value_and_grad(loss)(weight)
    optim.adam(weight, gradient, optim.adam_init(weight))
    assert value.shape == ()


def test_a_look_is_an_error(not_to_be_looked_at):
    with pytest.raises(AssertionError, match="looked at"):
        bool(strict.all(strict.ones(2) > 0.0))
