"""The cases of the measurement of exactness: matrices with a given gap or condition, the truth, arrmb and its peers.

Every loss is ``<G, F(X)>`` with a random G and does not depend on the choice of eigenvectors, so that its gradient
exists whatever the gaps. Gap 0 is an exact tie: the matrix of eigenvectors then has dyadic entries, and the product
with a dyadic spectrum has no rounding.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # the oracles and the peers' wrappers

import oracles
import peers

import arrmb
from arrmb import linalg
from arrmb.layers import second_order_pooling

N = 6
GAPS = (0.0, *(10.0**k for k in range(-16, 1)))
CONDITIONS = tuple(10.0**k for k in range(1, 13))


# ------------------------------------------------------------------------------------------------------- matrices


def orthogonal(rng, n, dyadic):
    """A random orthogonal matrix; if ``dyadic``, a product of reflections whose entries are multiples of 1/8."""
    if not dyadic:
        return np.linalg.qr(rng.standard_normal((n, n)))[0]
    q = np.eye(n)
    for _ in range(3):
        v = np.zeros(n)
        v[rng.choice(n, 4, replace=False)] = rng.choice([-1.0, 1.0], 4)
        q = q - 0.5 * np.outer(v, v @ q)
    return q


def symmetric(rng, spectrum, dyadic=False):
    q = orthogonal(rng, len(spectrum), dyadic)
    x = (q * np.asarray(spectrum)) @ q.T
    return 0.5 * (x + x.T)


def rectangular(rng, m, s, dyadic=False):
    """An m × len(s) matrix with the singular values ``s``."""
    left, right = orthogonal(rng, m, dyadic), orthogonal(rng, len(s), dyadic)
    return (left[:, : len(s)] * np.asarray(s)) @ right.T


def grouped(rng, gap):
    """Eigenvalues in groups of 3, 2 and 1 whose members are ``gap`` apart, relatively; 0.25 to 4."""
    return symmetric(rng, (0.25, 0.25 * (1 + gap), 0.25 * (1 + 2 * gap), 1.0, 1 + gap, 4.0), gap == 0.0)


def grouped_features(n, groups=((0.5, 3), (2.0, 2), (8.0, 1))):
    """n × 6 features with singular values in groups, like `grouped`; the first n of them where n < 6."""

    def make(rng, gap):
        s = [base * (1 + k * gap) for base, size in groups for k in range(size)]
        if n < N:
            return rectangular(rng, N, s[:n], gap == 0.0).T
        return rectangular(rng, n, s, gap == 0.0)

    return make


def grouped_singular(rng, gap):
    return rectangular(rng, N, (0.5, 0.5 * (1 + gap), 0.5 * (1 + 2 * gap), 2.0), gap == 0.0)


def spread(rng, condition):
    """Eigenvalues 1/condition to 1, their logarithms equally spaced."""
    return symmetric(rng, np.geomspace(1.0 / condition, 1.0, N))


def spread_features(rng, condition):
    """8 × 6 features whose second-order statistics have the condition number ``condition``, before epsilon."""
    return rectangular(rng, 8, np.geomspace(condition**-0.5, 1.0, N))


def spread_singular(rng, condition):
    return rectangular(rng, N, np.geomspace(1.0 / condition, 1.0, 4))


# ----------------------------------------------------------------------------------------------------------- rows


@dataclass(frozen=True)
class Row:
    """One panel: what is differentiated, by arrmb and by its peers, its truth, and the matrices of a given gap."""

    name: str
    function: Callable  # arrmb's
    peer: Callable  # the loss as a peer has to write it, of (library, x, g)
    truth: Callable  # of (x, g, e)
    by_gap: Callable = grouped
    by_condition: Callable | None = spread
    sensitivity: Callable | None = None  # of (x, g): how much rounding of x moves the gradient
    genuine: bool = False  # whether the derivative itself grows as 1/gap

    @property
    def hermitian(self):
        return self.by_gap is grouped

    def output(self, x):
        return x.shape if self.hermitian or self.truth is oracles.of_rational else (x.shape[1], x.shape[1])


def _hermitian(name, f, function, peer, **options):
    """A row of a function of a symmetric matrix."""
    return Row(
        name,
        function,
        peer,
        lambda *a: oracles.of_matrix(f, *a),
        sensitivity=lambda x, g: oracles.sensitivity(f, x, g),
        **options,
    )


def _eigh(f):
    return peers.eigh_function(f)


def _pooling(name, n, **options):
    """A row of second-order pooling of n × 6 features."""

    def sensitivity(x, g):
        if n < N:
            return oracles.features_sensitivity(oracles.LOG, x, g)
        x = np.asarray(x, dtype=float)  # rounding counts relative to the statistics that are formed, C
        return oracles.sensitivity(oracles.LOG, x.T @ x + 1e-3 * np.eye(N), g, factor=x)

    truth = lambda *a: oracles.of_features(oracles.LOG, *a)  # noqa: E731
    return Row(
        name, second_order_pooling, peers.pooling, truth, grouped_features(n), sensitivity=sensitivity, **options
    )


def _rational(s):
    return s / (1.0 + s * s)


ROWS = (
    _hermitian("logmh(x)", oracles.LOG, linalg.logmh, peers.log),
    _hermitian("sqrtmh(x)", oracles.SQRT, linalg.sqrtmh, _eigh(lambda lib, w: lib.sqrt(w))),
    _hermitian("invsqrtmh(x)", oracles.INVSQRT, linalg.invsqrtmh, _eigh(lambda lib, w: 1.0 / lib.sqrt(w))),
    _hermitian("powmh(x, -0.7)", oracles.power(-0.7), lambda x: linalg.powmh(x, -0.7), _eigh(lambda lib, w: w**-0.7)),
    _hermitian("expmh(x)", oracles.EXP, linalg.expmh, _eigh(lambda lib, w: lib.exp(w))),
    _hermitian(
        "spectral(x, tanh)",
        oracles.TANH,
        lambda x: linalg.spectral(x, lambda w: arrmb.namespace(w).tanh(w)),
        _eigh(lambda lib, w: lib.tanh(w)),
    ),
    Row(
        "svd_function(x, s/(1+s²))",
        lambda x: linalg.svd_function(x, _rational),
        peers.svd_function(_rational),
        oracles.of_rational,
        grouped_singular,
        spread_singular,
        oracles.rational_sensitivity,
    ),
    _pooling("second_order_pooling, F 8 × 6", 8, by_condition=spread_features),
    _pooling("second_order_pooling, F 4 × 6", 4, by_condition=None),
    _hermitian(
        "top_projector(x, 3), gap inside",
        oracles.Top(3),
        lambda x: linalg.top_projector(x, 3),
        peers.projector(3),
        by_condition=None,
    ),
    _hermitian(
        "top_projector(x, 2), gap at the split",
        oracles.Top(2),
        lambda x: linalg.top_projector(x, 2),
        peers.projector(2),
        by_condition=None,
        genuine=True,
    ),
)


# --------------------------------------------------------------------------------------------------- measurements


@dataclass(frozen=True)
class Errors:
    """Relative errors at one matrix; NaN where the result is not finite, None where the library raised."""

    first: dict  # by library: arrmb, its peers; in single precision also arrmb on PyTorch's tensors
    second: dict  # the same of a product with the Hessian
    floor: float


ON_TORCH = "arrmb on PyTorch"


def measure(row, x, rng, libraries=(), second_order=True):
    """Errors of all at ``x`` for a random G and a random direction, in the precision of ``x``.

    ``second_order`` is about the peers. In single precision arrmb is measured on tensors too: another LAPACK.
    """
    g, e = rng.standard_normal(row.output(x)), rng.standard_normal(x.shape)
    if row.truth is not oracles.of_rational:
        g = g + g.T
    if row.hermitian:
        e = e + e.T
    g, e = g.astype(x.dtype), e.astype(x.dtype)
    truth = row.truth(x, g, e)
    found = {"arrmb": arrmb_errors(loss_of(row, g), x, e, *truth)}
    for lib in libraries:
        if lib.name == "PyTorch" and x.dtype == np.float32:
            tensor = lib.torch.tensor
            found[ON_TORCH] = arrmb_errors(loss_of(row, tensor(g)), tensor(x), tensor(e), *truth)
        found[lib.name] = peer_errors(row, lib, x, g, e, *truth, second_order)
    first, second = ({name: errors[i] for name, errors in found.items()} for i in (0, 1))
    return Errors(first, second, floor(row, x, g))


def loss_of(row, g):
    return lambda x: arrmb.namespace(x).sum(g * row.function(x))


def arrmb_errors(loss, x, e, first, second):
    try:
        gradient, change = arrmb.grad(loss)(x), arrmb.hvp(loss, (x,), (e,))[0]
    except ValueError:  # a split inside a tie
        return None, None
    return oracles.relative(gradient, first), oracles.relative(change, second)


def peer_errors(row, library, x, g, e, first, second, second_order):
    def error(truth, f, *args):
        try:
            with np.errstate(all="ignore"):
                found = np.asarray(f(row.peer, *args), dtype=float)
        except Exception:  # a solver that gives up
            return None
        if row.hermitian:  # in arrmb's convention: the symmetric part
            found = 0.5 * (found + found.T)
        return oracles.relative(found, truth) if np.all(np.isfinite(found)) else float("nan")

    return error(first, library.gradient, x, g), error(
        second, library.hessian_product, x, g, e
    ) if second_order else None


def floor(row, x, g):
    """What rounding alone costs: eps (4√n + κ), κ the condition number of the gradient.

    Four products of n × n matrices, V (K ∘ (V^H G V)) V^H, err by √n eps each. And a stable eigensolver returns the
    decomposition of a matrix that is eps ‖x‖ away, which moves the gradient by κ eps: κ = ‖x‖ ‖D²(G, ·)‖ / ‖L(G)‖, the
    norm of the map being the root mean square over directions.
    """
    return float(np.finfo(x.dtype).eps * (4.0 * max(x.shape) ** 0.5 + row.sensitivity(x, g)))


def at(row, make, value, dtype, seed, libraries=(), second_order=False):
    """Errors at the matrix number ``seed`` with a gap or condition number ``value``."""
    rng = np.random.default_rng([seed, 7])
    return measure(row, make(rng, value).astype(dtype), rng, libraries, second_order)
