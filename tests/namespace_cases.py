"""Calls of every differentiable function of the traced namespace, for tests that go over all of them."""

import numpy as np

import arrmb
from arrmb.tape import functions

ONE = "exp expm1 log log1p log2 log10 sqrt square reciprocal sin cos tan asin atan sinh cosh tanh asinh atanh acos"
TWO = "add subtract multiply divide remainder atan2 hypot logaddexp maximum minimum pow"

# name -> calls (xp, x, y) with x (2, 3) in (0.2, 0.8), y (3,) in (1.1, 1.9), and constants made from what they need
CASES = {name: [lambda xp, x, y, name=name: getattr(xp, name)(x)] for name in ONE.split()}
CASES |= {
    name: [
        lambda xp, x, y, name=name: getattr(xp, name)(x, y),
        lambda xp, x, y, name=name: getattr(xp, name)(y, x),
        lambda xp, x, y, name=name: getattr(xp, name)(x, x[:, :1]),
        lambda xp, x, y, name=name: getattr(xp, name)(x, 0.5),
        lambda xp, x, y, name=name: getattr(xp, name)(2, x),
    ]
    for name in TWO.split()
}
# at ties of x with itself the two halves meet; finite differences see the same there
CASES |= {
    "acosh": [lambda xp, x, y: xp.acosh(y)],
    "negative": [lambda xp, x, y: xp.negative(x)],
    "positive": [lambda xp, x, y: xp.positive(x)],
    "abs": [lambda xp, x, y: xp.abs(x - 0.5)],
    "real": [lambda xp, x, y: xp.real(xp.astype(x, xp.complex128) * (1 + 2j))],
    "imag": [lambda xp, x, y: xp.imag(xp.astype(x, xp.complex128) * (1 + 2j))],
    "conj": [lambda xp, x, y: xp.real(xp.conj(xp.astype(x, xp.complex128) * (1 + 2j)) * 1j)],
    "where": [
        lambda xp, x, y: xp.where(x > 0.5, x, y),
        lambda xp, x, y: xp.where(x > 0.5, x * x, 0.0),
        lambda xp, x, y: xp.where(x > 0.5, 1.0, y * x),
        lambda xp, x, y: xp.where(y > 1.5, x[:, :1], x),
    ],
    "clip": [
        lambda xp, x, y: xp.clip(x, 0.3, 0.6),
        lambda xp, x, y: xp.clip(x, min=0.4),
        lambda xp, x, y: xp.clip(x, max=0.4),
        lambda xp, x, y: xp.clip(x, y - 1.0, y - 0.6),
        lambda xp, x, y: xp.clip(x),
    ],
    "nextafter": [lambda xp, x, y: xp.nextafter(x, y), lambda xp, x, y: xp.nextafter(y, x)],
    "sign": [  # constant where it is real
        lambda xp, x, y: xp.sign(x - 0.5) * x,
        lambda xp, x, y: xp.imag(xp.sign(xp.astype(x, xp.complex128) * (1 + 2j) + xp.astype(y, xp.complex128))),
    ],
    "unique_values": [lambda xp, x, y: sets("unique_values", x)],
    "unique_counts": [lambda xp, x, y: sets("unique_counts", xp.concat([y, y[:2]])).values],
    "unique_inverse": [lambda xp, x, y: sets("unique_inverse", xp.concat([y, y[:2]])).values],
    "unique_all": [lambda xp, x, y: sets("unique_all", xp.concat([y, y[:2]])).values],
    "copysign": [lambda xp, x, y: xp.copysign(x, y - 1.5), lambda xp, x, y: xp.copysign(-x, y)],
    "sum": [
        lambda xp, x, y: xp.sum(x * x),
        lambda xp, x, y: xp.sum(x * x, axis=0),
        lambda xp, x, y: xp.sum(x * x, axis=(0, -1), keepdims=True),
        lambda xp, x, y: xp.sum(x, axis=-1, dtype=xp.float64),
    ],
    "max": [
        lambda xp, x, y: xp.max(x * x),
        lambda xp, x, y: xp.max(x, axis=1),
        lambda xp, x, y: xp.max(x, axis=(0, 1), keepdims=True),
    ],
    "min": [
        lambda xp, x, y: xp.min(x * x),
        lambda xp, x, y: xp.min(x, axis=0, keepdims=True),
        lambda xp, x, y: xp.min(x, axis=-1),
    ],
    "mean": [
        lambda xp, x, y: xp.mean(x * x),
        lambda xp, x, y: xp.mean(x, axis=-1),
        lambda xp, x, y: xp.mean(x, axis=(0,), keepdims=True),
    ],
    "var": [
        lambda xp, x, y: xp.var(x),
        lambda xp, x, y: xp.var(x, axis=1, correction=1.0),
        lambda xp, x, y: xp.var(x, axis=0, keepdims=True),
    ],
    "std": [
        lambda xp, x, y: xp.std(x),
        lambda xp, x, y: xp.std(x, axis=(1,), correction=1),
        lambda xp, x, y: xp.std(x, axis=0, keepdims=True),
    ],
    "prod": [
        lambda xp, x, y: xp.prod(x),
        lambda xp, x, y: xp.prod(x, axis=0),
        lambda xp, x, y: xp.prod(x, axis=-1, keepdims=True),
        lambda xp, x, y: xp.prod(x, axis=(0, 1), keepdims=True, dtype=xp.float64),
    ],
    "cumulative_sum": [
        lambda xp, x, y: xp.cumulative_sum(y),
        lambda xp, x, y: xp.cumulative_sum(x, axis=1),
        lambda xp, x, y: xp.cumulative_sum(x * x, axis=-2, include_initial=True, dtype=xp.float64),
    ],
    "cumulative_prod": [
        lambda xp, x, y: xp.cumulative_prod(y),
        lambda xp, x, y: xp.cumulative_prod(x, axis=1),
        lambda xp, x, y: xp.cumulative_prod(x, axis=-2, include_initial=True, dtype=xp.float64),
    ],
    "diff": [
        lambda xp, x, y: xp.diff(x * x),
        lambda xp, x, y: xp.diff(x * x, axis=0),
        lambda xp, x, y: xp.diff(y * y, n=2, prepend=y[:1]),
        lambda xp, x, y: xp.diff(x, axis=-1, append=x[:, :2]),
    ],
    "reshape": [
        lambda xp, x, y: xp.reshape(x, (3, 2)),
        lambda xp, x, y: xp.reshape(x, (-1,)),
        lambda xp, x, y: xp.reshape(x, (3, -1), copy=True),
    ],
    "permute_dims": [
        lambda xp, x, y: xp.permute_dims(x, (1, 0)),
        lambda xp, x, y: xp.permute_dims(x[None, ...], (-1, 0, 1)),
    ],
    "matrix_transpose": [lambda xp, x, y: xp.matrix_transpose(x * x)],
    "moveaxis": [
        lambda xp, x, y: xp.moveaxis(x, 0, -1),
        lambda xp, x, y: xp.moveaxis(x[None, ...] * y, (0, 1), (-1, 0)),
    ],
    "expand_dims": [lambda xp, x, y: xp.expand_dims(x, axis=1), lambda xp, x, y: xp.expand_dims(x, axis=-1)],
    "squeeze": [
        lambda xp, x, y: xp.squeeze(x[:, :1], axis=1),
        lambda xp, x, y: xp.squeeze(x[None, :, :1], axis=(0, -1)),
    ],
    "broadcast_to": [
        lambda xp, x, y: xp.broadcast_to(x, (4, 2, 3)),
        lambda xp, x, y: xp.broadcast_to(y[:, None], (3, 2)),
    ],
    "broadcast_arrays": [lambda xp, x, y: xp.broadcast_arrays(x, y)],
    "flip": [
        lambda xp, x, y: xp.flip(x),
        lambda xp, x, y: xp.flip(x, axis=0),
        lambda xp, x, y: xp.flip(x, axis=(0, -1)),
    ],
    "roll": [
        lambda xp, x, y: xp.roll(x, 2),
        lambda xp, x, y: xp.roll(x, -1, axis=1),
        lambda xp, x, y: xp.roll(x, (1, 2), axis=(0, 1)),
    ],
    "tile": [
        lambda xp, x, y: xp.tile(x, (2, 3)),
        lambda xp, x, y: xp.tile(y, (2, 1)),
        lambda xp, x, y: xp.tile(x, (2,)),
    ],
    "repeat": [
        lambda xp, x, y: xp.repeat(x, 2),
        lambda xp, x, y: xp.repeat(x, 3, axis=-1),
        lambda xp, x, y: xp.repeat(x, integers(xp, x, [1, 0, 2]), axis=1),
    ],
    "tril": [lambda xp, x, y: xp.tril(x), lambda xp, x, y: xp.tril(x, k=1)],
    "triu": [lambda xp, x, y: xp.triu(x), lambda xp, x, y: xp.triu(x, k=-1)],
    "concat": [
        lambda xp, x, y: xp.concat([x, x * x]),
        lambda xp, x, y: xp.concat((x, x[:, :1]), axis=-1),
        lambda xp, x, y: xp.concat([x, y], axis=None),
    ],
    "stack": [
        lambda xp, x, y: xp.stack([y, y * y]),
        lambda xp, x, y: xp.stack((x, x * x), axis=-1),
        lambda xp, x, y: xp.stack([x, x], axis=1),
    ],
    "unstack": [lambda xp, x, y: xp.unstack(x), lambda xp, x, y: xp.unstack(x * x, axis=-1)],
    "meshgrid": [
        lambda xp, x, y: xp.meshgrid(y, x[0, :2]),
        lambda xp, x, y: xp.meshgrid(y, x[0, :], indexing="ij"),
        lambda xp, x, y: xp.meshgrid(y),
        lambda xp, x, y: xp.meshgrid(y, x[0, :], x[1, :2]),
    ],
    "astype": [
        lambda xp, x, y: xp.real(xp.astype(x * x, xp.complex128)),
        lambda xp, x, y: xp.astype(xp.astype(x, xp.float64, copy=False), xp.float64),
    ],
    "take": [
        lambda xp, x, y: xp.take(x, integers(xp, x, [2, 0, 2]), axis=1),
        lambda xp, x, y: xp.take(y * y, integers(xp, x, [1, 1])),
        lambda xp, x, y: xp.take(x, integers(xp, x, [1]), axis=-2),
    ],
    "take_along_axis": [
        lambda xp, x, y: xp.take_along_axis(x, integers(xp, x, [[2, 0], [1, 1]]), axis=1),
        lambda xp, x, y: xp.take_along_axis(x * x, integers(xp, x, [[0, 1, 1]]), axis=0),
    ],
    "sort": [
        lambda xp, x, y: xp.sort(x),
        lambda xp, x, y: xp.sort(x * x, axis=0, descending=True),
        lambda xp, x, y: xp.sort(y, stable=False),
    ],
    "matmul": [lambda xp, x, y: xp.matmul(x, y), lambda xp, x, y: xp.matmul(x, xp.matrix_transpose(x))],
    "vecdot": [lambda xp, x, y: xp.vecdot(x, y), lambda xp, x, y: xp.vecdot(x, x * x, axis=-2)],
    "tensordot": [
        lambda xp, x, y: xp.tensordot(x, y, axes=1),
        lambda xp, x, y: xp.tensordot(x, x, axes=2),
        lambda xp, x, y: xp.tensordot(x, y, axes=0),
        lambda xp, x, y: xp.tensordot(x, x[None, ...] * y[:, None, None], axes=((0, 1), (1, -1))),
    ],
}


def sets(name, x):
    """A function of sets, which PyTorch does not have all of."""
    return functions.BY_NAME[name](x)


def integers(xp, like, values):
    raw = arrmb._xp.raw_namespace(xp)
    return raw.asarray(np.asarray(values), device=arrmb._xp.device(like))


def points(backend, dtype="float64"):
    rng = np.random.default_rng(3)
    x = rng.uniform(0.2, 0.8, (2, 3))
    return backend.put(x, dtype), backend.put(rng.uniform(1.1, 1.9, 3), dtype)
