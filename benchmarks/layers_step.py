"""The training step of the region network of ``examples/regions_o2p.py``, on synthetic pixels.

Two linear maps make features of the pixels of a region, log second-order pooling makes a matrix of both, its upper
triangle is standardised, and a linear map makes scores; cross-entropy, gradient, AdamW. arrmb runs the network of the
example; the peers have the same one.

For a size (batch, locations, channels), channels are those that are pooled: half of them descriptors of the pixels, the
others learned, and one constant.
"""

import math
import pathlib
import sys

import layers_floors as floors
import numpy as np

import arrmb

sys.path.append(str(pathlib.Path(__file__).parents[1] / "examples"))
from regions import network as example

WIDTH, CLASSES = 48, 21
BETAS, ADAM_EPS = (0.9, 0.999), 1e-8


class Step:
    def __init__(self, name):
        self.name = name

    def data(self, size, dtype):
        """Pixels, labels, and the weights and biases of the three linear maps."""
        b, n, d = size
        rng = np.random.default_rng(0)
        p = d // 2

        def weight(rows, columns, scale=1.0):
            return (scale * rng.standard_normal((rows, columns)) * math.sqrt(2.0 / rows)).astype(dtype)

        pixels, labels = rng.standard_normal((b, n, p)).astype(dtype), rng.integers(0, CLASSES, b)
        maps = weight(p, WIDTH), weight(WIDTH, d - p - 1), weight(d * (d + 1) // 2, CLASSES, 0.1)
        weights = [part for w in maps for part in (w, np.zeros(w.shape[1], dtype))]
        return pixels, labels, weights

    def calls(self, lib, size, dtype):
        pixels, labels, weights = self.data(size, dtype)
        self.before = weights
        pixels, labels = lib.put(pixels), lib.put(labels)
        weights = [lib.put(w) for w in weights]
        make = {
            "arrmb": _arrmb, "floor": _floor, "jax": _jax, "autograd": _autograd,
            "torch": _torch, "torch.compile": _torch,
        }[lib.name]  # fmt: skip
        forward, both = make(lib, pixels, labels, weights)
        return {"forward": forward, "forward + backward": both}

    def comparable(self, lib, calls):
        """The loss, and the changes of the parameters."""
        loss, after = calls["forward + backward"]()
        changes = [a - b for a, b in zip(lib.get(after), self.before)]
        return [*lib.get(loss), *changes]


def _arrmb(lib, pixels, labels, weights):
    w1, b1, w2, b2, w3, b3 = weights
    linear = example.Linear
    network = example.Network(None, linear(w1, b1), linear(w2, b2), linear(w3, b3), "log")
    state, value_and_grad = example.adam_init(network), arrmb.value_and_grad(example.loss)
    standard = arrmb.namespace(w3).zeros_like(w3[:, 0]), arrmb.namespace(w3).ones_like(w3[:, 0])

    def forward():
        y = example.loss(network, pixels, labels, standard)
        lib.wait()
        return y

    def both():
        y, gradient = value_and_grad(network, pixels, labels, standard)
        after, _ = example.adam(network, gradient, state, lr=example.RATE, weight_decay=example.DECAY)
        lib.wait()
        return y, arrmb.tree.flatten(after)[0]

    return forward, both


def _floor(lib, pixels, labels, weights):
    w1, b1, w2, b2, *_ = weights
    xp = arrmb.namespace(pixels)
    b, n, p = pixels.shape
    rows = xp.reshape(pixels, (b * n, p))
    hidden = example.relu(rows @ w1 + b1)
    learned = xp.reshape(xp.tanh(hidden @ w2 + b2), (b, n, w2.shape[-1]))
    joined = xp.concat([pixels, learned, xp.ones_like(pixels[..., :1])], axis=-1) / n**0.5

    def forward():
        y, _ = floors.step(rows, hidden, joined, weights[::2])
        lib.wait()
        return y

    def both():
        y, backward = floors.step(rows, hidden, joined, weights[::2])
        g = backward()
        lib.wait()
        return y, g

    return forward, both


def peer_loss(lib, weights, pixels, labels):
    xp = lib.xp
    w1, b1, w2, b2, w3, b3 = weights
    b, n, p = pixels.shape
    learned = xp.tanh(lib.relu(pixels.reshape(b * n, p) @ w1 + b1) @ w2 + b2).reshape((b, n, -1))
    x = xp.concatenate((pixels, learned, xp.ones_like(pixels[..., :1])), axis=-1)
    w, v = xp.linalg.eigh(xp.swapaxes(x, -1, -2) @ x / n + example.EPS * lib.eye(x))
    pooled = ((v * xp.log(w)[..., None, :]) @ xp.swapaxes(v, -1, -2)).reshape((b, -1))
    vectors = pooled[:, floors.upper_triangle(x.shape[-1])]
    mean, deviation = xp.zeros_like(w3[:, 0]), xp.ones_like(w3[:, 0])
    return lib.cross_entropy((vectors - mean) / deviation @ w3 + b3, labels)


def _torch(lib, pixels, labels, weights):
    torch = lib.torch
    weights = [w.clone().requires_grad_() for w in weights]
    optimizer = torch.optim.AdamW(weights, lr=example.RATE, weight_decay=example.DECAY)
    loss = lib.function(lambda: peer_loss(lib, weights, pixels, labels))

    def forward():
        with torch.no_grad():
            y = loss()
        lib.wait()
        return y

    before = [w.detach().clone() for w in weights]

    def both():
        optimizer.zero_grad()
        y = loss()
        y.backward()
        optimizer.step()
        lib.wait()
        if optimizer.param_groups[0]["lr"] == 0.0:
            return y, weights
        # The first call, which is compared. The optimizer updates in place: the weights go back, and later calls move
        # them by nothing, so that all of them see the network that the other libraries see.
        after = [w.detach().clone() for w in weights]
        with torch.no_grad():
            for w, old in zip(weights, before):
                w.copy_(old)
        optimizer.param_groups[0]["lr"] = 0.0
        return y, after

    return forward, both


def adamw(xp, weights, gradients, means, squares, t):
    """The update of AdamW for libraries without one; JAX compiles it."""
    b1, b2 = BETAS
    means = [b1 * m + (1.0 - b1) * g for m, g in zip(means, gradients)]
    squares = [b2 * v + (1.0 - b2) * g * g for v, g in zip(squares, gradients)]
    rate, root = example.RATE / (1.0 - b1**t), 1.0 / math.sqrt(1.0 - b2**t)
    keep = 1.0 - example.RATE * example.DECAY
    moved = [keep * w - rate * m / (root * xp.sqrt(v) + ADAM_EPS) for w, m, v in zip(weights, means, squares)]
    return moved, means, squares


def _jax(lib, pixels, labels, weights):
    jax, zeros = lib.jax, [lib.xp.zeros_like(w) for w in weights]

    def step(weights, means, squares, pixels, labels):
        y, gradients = jax.value_and_grad(lambda w: peer_loss(lib, w, pixels, labels))(weights)
        return y, adamw(lib.xp, weights, gradients, means, squares, 1)

    def loss(weights, pixels, labels):
        return peer_loss(lib, weights, pixels, labels)

    forward = lib.compiled(loss, weights, pixels, labels)
    call = lib.compiled(step, weights, zeros, zeros, pixels, labels)

    def both():
        y, (after, _, _) = call()
        return y, after

    both.memory = call.memory
    return forward, both


def _autograd(lib, pixels, labels, weights):
    zeros = [np.zeros_like(w) for w in weights]
    vjp = lib.autograd.make_vjp(lambda w: peer_loss(lib, w, pixels, labels))

    def both():
        pullback, y = vjp(weights)
        after, _, _ = adamw(np, weights, pullback(np.ones_like(y)), zeros, zeros, 1)
        return y, after

    return lambda: peer_loss(lib, weights, pixels, labels), both
