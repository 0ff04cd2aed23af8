"""Linear maps, the rectifier and the cross-entropy loss."""

import numpy as np
import pytest

import arrmb
from arrmb.layers import Linear, relu, softmax_cross_entropy
from arrmb.testing import check_grads

RNG = np.random.default_rng


def labels_on(backend, labels):
    return backend.xp.asarray(np.asarray(labels), device=backend.device)


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 4, 3), (0, 3)])
def test_linear(backend, shape):
    layer = Linear.init(backend.xp, RNG(0), 3, 2, dtype=backend.xp.float64, device=backend.device)
    layer = Linear(layer.weight, layer.bias + 0.5)
    x = RNG(1).standard_normal(shape)
    y = layer(backend.put(x, "float64"))
    np.testing.assert_allclose(backend.get(y), x @ backend.get(layer.weight) + 0.5, rtol=1e-13)


def test_linear_derivatives(backend):
    layer = Linear.init(backend.xp, RNG(0), 3, 2, dtype=backend.xp.float64, device=backend.device)
    x = backend.put(RNG(1).standard_normal((2, 4, 3)), "float64")
    check_grads(lambda layer, x: layer(x), (layer, x))
    check_grads(lambda bias: Linear(layer.weight, bias)(x), (layer.bias,), order=1)
    check_grads(lambda weight: Linear(weight)(x), (layer.weight,), order=1)


def test_relu(backend):
    x = backend.put(np.asarray([-2.0, 0.0, 3.0]), "float32")
    y, slope = arrmb.value_and_grad(lambda x: arrmb.namespace(x).sum(relu(x)))(x)
    assert float(y) == 3.0 and backend.get(slope).tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_cross_entropy_against_torch(backend, shape):
    torch = pytest.importorskip("torch")
    logits, labels = 3.0 * RNG(2).standard_normal(shape), RNG(3).integers(0, 4, shape[:-1])
    theirs = torch.tensor(logits, requires_grad=True)
    flat = torch.nn.functional.cross_entropy(
        theirs.reshape(-1, 4), torch.as_tensor(labels).reshape(-1), reduction="none"
    )
    flat.sum().backward()

    def loss(x):
        y = softmax_cross_entropy(x, labels_on(backend, labels))
        return arrmb.namespace(y).sum(y), y

    (_, y), gradient = arrmb.value_and_grad(loss, has_aux=True)(backend.put(logits, "float64"))
    np.testing.assert_allclose(backend.get(y), flat.detach().numpy().reshape(labels.shape), rtol=1e-12)
    np.testing.assert_allclose(backend.get(gradient), theirs.grad.numpy(), rtol=1e-12, atol=1e-15)


def test_cross_entropy_derivatives(backend):
    labels = labels_on(backend, [2, 0])
    check_grads(lambda x: softmax_cross_entropy(x, labels), (backend.put(RNG(4).standard_normal((2, 3)), "float64"),))


def test_cross_entropy_of_large_logits(backend):
    """No overflow: the loss of the wrong class is the distance, the gradient is the softmax minus one-hot."""
    x = backend.put(np.asarray([[1e4, 0.0, -1e4], [1e4, 0.0, -1e4]]), "float32")
    labels = labels_on(backend, [0, 2])
    np.testing.assert_allclose(backend.get(softmax_cross_entropy(x, labels)), [0.0, 2e4])
    gradient = arrmb.grad(lambda x: arrmb.namespace(x).sum(softmax_cross_entropy(x, labels)))(x)
    np.testing.assert_allclose(backend.get(gradient), [[0, 0, 0], [1, 0, -1]])


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: Linear.init(np, RNG(0), 3, 2)(np.zeros((5, 4))), ValueError, "Linear: x must have 3 channels"),
        (lambda: Linear.init(np, RNG(0), 3, 2)(np.zeros(3, dtype=int)), TypeError, "Linear: x has dtype int"),
        (lambda: relu(np.zeros(3, dtype=complex)), TypeError, "relu: x has dtype complex128"),
        (
            lambda: softmax_cross_entropy(np.zeros((2, 3)), np.zeros(2)),
            TypeError,
            "labels must be integers, got dtype float64",
        ),
        (
            lambda: softmax_cross_entropy(np.zeros((2, 3)), np.zeros(3, dtype=int)),
            ValueError,
            "labels must have the shape",
        ),
        (
            lambda: softmax_cross_entropy(np.zeros((2, 3)), [0, 1]),
            TypeError,
            "labels must be an array of integers, got list",
        ),
        (
            lambda: softmax_cross_entropy(np.zeros((2, 3), dtype=complex), np.zeros(2, dtype=int)),
            TypeError,
            "logits must be real",
        ),
        (
            lambda: softmax_cross_entropy(np.zeros((2, 3), dtype=int), np.zeros(2, dtype=int)),
            TypeError,
            "logits has dtype int",
        ),
    ],
)
def test_errors(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_cross_entropy_of_a_masked_class(backend):
    """A logit of -inf leaves its class out; the gradient of the others is that without it."""
    logits = np.asarray([[0.5, -np.inf, 1.5]])
    labels = labels_on(backend, np.asarray([2]))

    def loss(x):
        return arrmb.namespace(x).sum(softmax_cross_entropy(x, labels))

    gradient = backend.get(arrmb.grad(loss)(backend.put(logits, "float64")))
    p = np.exp(0.5) / (np.exp(0.5) + np.exp(1.5))
    np.testing.assert_allclose(gradient, [[p, 0.0, -p]], atol=1e-15)
