"""The computations that are timed: inputs, and how arrmb, the peers and the floor do each of them.

A peer's form is what its users write every day: the library's own decomposition, differentiated by the library, and
everything else around it in the library's functions. The three peers have NumPy's names, so that one text serves all of
them; ``lib`` is one of `layers_libraries.py`, ``lib.xp`` its functions.

Data are random with spectra that are well apart, since peers divide by gaps; nobody is timed on a wrong result.
"""

from dataclasses import dataclass
from typing import Any

import layers_floors as floors
import numpy as np
from layers_step import Step

from arrmb import linalg
from arrmb._xp import eye_like, raw
from arrmb.layers import normalized_cuts_loss, second_order_pooling

SIZES = (  # batch, locations, channels
    (256, 49, 16),
    (64, 49, 32),
    (32, 196, 64),
    (16, 196, 128),
    (8, 784, 256),
    (2, 784, 512),
    (1, 4096, 512),
)
EPS = 1e-3  # of second_order_pooling, its default
SEGMENTS = 5  # of normalized_cuts_loss


@dataclass(frozen=True)
class Case:
    """A computation on arrays of which the first is differentiated."""

    name: str
    inputs: Any  # (rng, batch, n, d) -> arrays in double precision, and integer arrays
    ours: Any  # (*arrays) -> array or tuple of arrays
    peer: Any  # (lib, *arrays), the same
    floor: Any  # (*arrays) -> outputs, function of the cotangents
    signs: Any = None  # (outputs) -> arrays of 1 and -1 by which outputs are multiplied: what each library chooses
    symmetric: bool = False  # the gradient counts up to a skew-symmetric part

    def calls(self, lib, size, dtype):
        """The computation in the library ``lib``: functions without arguments, by mode, that end when all is done."""
        arrays = self.inputs(np.random.default_rng(0), *size)
        args = [lib.put(x.astype(dtype) if x.dtype.kind == "f" else x) for x in arrays]
        forward = lib.forward(self, args)
        bars = [lib.put(bar) for bar in self.cotangents(lib.get(forward()))]
        return {"forward": forward, "forward + backward": lib.both(self, args, bars)}

    def cotangents(self, outputs):
        rng = np.random.default_rng(1)
        bars = [rng.standard_normal(y.shape).astype(y.dtype) for y in outputs]
        return [s * b for s, b in zip(self.signs(outputs), bars)] if self.signs else bars

    def comparable(self, lib, calls):
        """Outputs and gradient, of a call, as all libraries should have them."""
        outputs, gradient = map(lib.get, calls["forward + backward"]())
        if self.signs:
            outputs = [s * y for s, y in zip(self.signs(outputs), outputs)]
        if self.symmetric:
            gradient = [0.5 * (g + np.swapaxes(g, -1, -2)) for g in gradient]
        return [*outputs, *gradient]


def features(rng, b, n, d):
    return (rng.standard_normal((b, n, d)) / n**0.5,)


def positive_features(rng, b, n, d):
    labels = rng.integers(0, SEGMENTS, (b, n))
    labels[:, :SEGMENTS] = np.arange(SEGMENTS)
    return np.exp(rng.standard_normal((b, n, d))), labels


def _orthonormal(rng, *shape):
    return np.linalg.qr(rng.standard_normal(shape))[0]


def tall(rng, b, n, d):
    """Singular values from 1 to 3, evenly spaced."""
    k = min(n, d)
    u, v = _orthonormal(rng, b, n, k), _orthonormal(rng, b, d, k)
    return ((u * np.linspace(1.0, 3.0, k)) @ np.swapaxes(v, -1, -2),)


def positive(rng, b, n, d):
    """Eigenvalues from ½ to 4½, evenly spaced."""
    v = _orthonormal(rng, b, d, d)
    x = (v * np.linspace(0.5, 4.5, d)) @ np.swapaxes(v, -1, -2)
    return (0.5 * (x + np.swapaxes(x, -1, -2)),)


def _sign(vectors):
    """The sign of the largest entry of each column."""
    at = np.argmax(np.abs(vectors), axis=-2, keepdims=True)
    return np.sign(np.take_along_axis(vectors, at, axis=-2))


def eigenvectors_signs(outputs):
    w, v = outputs
    return np.ones_like(w), _sign(v)


def singular_signs(outputs):
    u, s, _ = outputs
    sign = _sign(u)
    return sign, np.ones_like(s), np.swapaxes(sign, -1, -2)


# ------------------------------------------------------------------------------------------------------ peers' forms


def T(lib, x):
    return lib.xp.swapaxes(x, -1, -2)


def peer_eigh(lib, x):
    w, v = lib.xp.linalg.eigh(x)
    return w, v


def spectral(f):
    def of_matrix(lib, x):
        w, v = lib.xp.linalg.eigh(x)
        return (v * f(lib.xp, w)[..., None, :]) @ T(lib, v)

    return of_matrix


def _log(xp, w):
    return xp.log(w)


def _sqrt(xp, w):
    return xp.sqrt(w)


def _invsqrt(xp, w):
    return 1.0 / xp.sqrt(w)


def pooled(f):
    def of_features(lib, x):
        return f(lib, T(lib, x) @ x + EPS * lib.eye(x))

    return of_features


def iterated_root(lib, x):
    """The iteration of iSQRT-COV."""
    c = lib.xp.sqrt(lib.xp.sum(x * x, axis=(-2, -1), keepdims=True))
    three = 3.0 * lib.eye(x)
    y, z = x / c, lib.eye(x)
    for k in range(floors.ITERATIONS):
        t = 0.5 * (three - (z @ y if k else y))
        y, z = y @ t, (t @ z if k else t)
    return y * lib.xp.sqrt(c)


def peer_svd(lib, x):
    u, s, vh = lib.xp.linalg.svd(x, full_matrices=False)
    return u, s, vh


def _basis_product(lib, a, b):
    """Q^T b, squared and summed, or Q Q^T without b; autograd has no derivative of QR, and takes the Gram matrix."""
    if lib.name == "autograd":
        inverse = lib.xp.linalg.solve(T(lib, a) @ a, T(lib, a) if b is None else T(lib, a) @ b)
        return a @ inverse if b is None else lib.xp.sum((T(lib, a) @ b) * inverse, axis=(-2, -1))
    q, _ = lib.xp.linalg.qr(a)
    return q @ T(lib, q) if b is None else lib.xp.sum((T(lib, q) @ b) ** 2, axis=(-2, -1))


def peer_projector(lib, a):
    return _basis_product(lib, a, None)


def peer_cuts(lib, f, labels):
    xp = lib.xp
    y = lib.one_hot(labels, SEGMENTS, f)
    y = y / xp.sqrt(xp.sum(y, axis=-2, keepdims=True))
    degrees = f @ xp.sum(f, axis=-2)[..., None]
    return 0.5 * (f.shape[-1] + SEGMENTS) - _basis_product(lib, f / xp.sqrt(degrees), y)


def peer_cholesky(lib, x):
    return lib.xp.linalg.cholesky(x)


# -------------------------------------------------------------------------------------------------------- the table


def ours_newton_schulz(f):
    pooled = second_order_pooling(f, transform="none")
    shift = EPS * eye_like(raw(f))
    return linalg.sqrtmh(pooled + shift, method="newton-schulz", iterations=floors.ITERATIONS)


def ours_svd(x):
    return tuple(linalg.svd(x, full_matrices=False))


CASES = {
    case.name: case
    for case in (
        Case("pooling, log", features, second_order_pooling, pooled(spectral(_log)), floors.pooling),
        Case(
            "pooling, power ½",
            features,
            lambda f: second_order_pooling(f, transform="power"),
            pooled(spectral(_sqrt)),
            floors.pooling,
        ),
        Case(
            "pooling, Newton–Schulz",
            features,
            ours_newton_schulz,
            pooled(iterated_root),
            floors.newton_schulz,
        ),
        Step("training step"),
        Case(
            "normalized cuts",
            positive_features,
            normalized_cuts_loss,
            peer_cuts,
            floors.normalized_cuts,
        ),
        Case(
            "eigh",
            positive,
            lambda x: tuple(linalg.eigh(x)),
            peer_eigh,
            floors.eigh,
            signs=eigenvectors_signs,
            symmetric=True,
        ),
        Case("logmh", positive, linalg.logmh, spectral(_log), floors.function, symmetric=True),
        Case("sqrtmh", positive, linalg.sqrtmh, spectral(_sqrt), floors.function, symmetric=True),
        Case("invsqrtmh", positive, linalg.invsqrtmh, spectral(_invsqrt), floors.function, symmetric=True),
        Case("svd", tall, ours_svd, peer_svd, floors.svd, signs=singular_signs),
        Case("projector", tall, linalg.projector, peer_projector, floors.projector),
        Case("cholesky", positive, linalg.cholesky, peer_cholesky, floors.cholesky, symmetric=True),
    )
}
