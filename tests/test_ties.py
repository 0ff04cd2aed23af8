"""Gradients at ties: arrmb and its peers against 60 digits, one row per case. Run with -s to see the table.

The losses do not depend on the free choice of eigenvectors, so that the true gradient exists. The peers go through
eigh or svd, which is all that they offer; arrmb through the function that is meant for the case.
"""

import mpmath
import numpy as np
import pytest

import arrmb
from arrmb import linalg
from arrmb.layers import second_order_pooling

RNG = np.random.default_rng(5)
G = RNG.standard_normal((6, 6))
G = G + G.T
E = RNG.standard_normal((6, 6))
E = E + E.T
Q = np.linalg.qr(RNG.standard_normal((6, 6)))[0]


def spd(*spectrum):
    x = (Q * np.asarray(spectrum)) @ Q.T
    return 0.5 * (x + x.T)


# ------------------------------------------------------------------------------- the oracle, in 60 digits by mpmath


class Function:
    """f with two derivatives, and its divided differences with equal points recognised at 30 digits."""

    def __init__(self, f, df, d2f):
        self.f, self.df, self.d2f = f, df, d2f

    def divided(self, *points):
        points = sorted(points)
        if points[-1] - points[0] < mpmath.mpf(10) ** -30:
            return [self.f, self.df, lambda x: self.d2f(x) / 2][len(points) - 1](points[0])
        return (self.divided(*points[1:]) - self.divided(*points[:-1])) / (points[-1] - points[0])


LOG = Function(mpmath.log, lambda x: 1 / x, lambda x: -1 / x**2)
SQRT = Function(mpmath.sqrt, lambda x: 1 / (2 * mpmath.sqrt(x)), lambda x: -1 / (4 * x ** mpmath.mpf(1.5)))
STEP = Function(lambda x: mpmath.mpf(x > 2), lambda x: mpmath.mpf(0), lambda x: mpmath.mpf(0))


def mp(x):
    return mpmath.matrix(np.asarray(x).tolist())


def numbers(x):
    return np.asarray(x.tolist(), dtype=float).reshape(x.rows, x.cols)


def oracle(f, a, g, e):
    """L(g) and D²(g, e) of f at the symmetric matrix ``a`` (mpmath matrices)."""
    w, v = mpmath.eigsy(a)
    n = a.rows
    gh, eh = v.T * g * v, v.T * e * v
    first, second = mpmath.zeros(n), mpmath.zeros(n)
    for i in range(n):
        for j in range(n):
            first[i, j] = f.divided(w[i], w[j]) * gh[i, j]
            second[i, j] = sum(
                f.divided(w[i], w[k], w[j]) * (gh[i, k] * eh[k, j] + eh[i, k] * gh[k, j]) for k in range(n)
            )
    return v * first * v.T, v * second * v.T


def of_matrix(f, x, g, e):
    with mpmath.workdps(60):
        return tuple(numbers(y) for y in oracle(f, mp(x), mp(g), mp(e)))


def of_features(f, x, g, e):
    """The same for C = f(F^T F + 1e-3 I): 2 F L(g), and its change along e."""
    with mpmath.workdps(60):
        x, g, e = mp(x), mp(g), mp(e)
        a = x.T * x + mpmath.mpf(0.001) * mpmath.eye(x.cols)
        first, second = oracle(f, a, g, e.T * x + x.T * e)
        return numbers(2 * x * first), numbers(2 * e * first + 2 * x * second)


def linear(x, g, e):
    return g, np.zeros_like(g)


# ----------------------------------------------------------------- the rows: input, truth, arrmb's way, the peers' way


def eigh_function(f):
    def peer(lib, x, g):
        w, v = lib.eigh(x)
        return (g * ((v * f(lib, w)) @ v.T)).sum()

    return peer


def pooling_peer(lib, x, g):
    return eigh_function(lambda lib, w: lib.log(w))(lib, x.T @ x + 1e-3 * lib.eye(6), g)


def projector_peer(lib, x, g):
    _, v = lib.eigh(x)
    return (g * (v[:, 4:] @ v[:, 4:].T)).sum()


def svd_peer(lib, x, g):
    u, s, vh = lib.svd(x)
    return (g * ((u * s) @ vh)).sum()


log_peer = eigh_function(lambda lib, w: lib.log(w))
identity = lambda w: w  # noqa: E731
F36 = RNG.standard_normal((3, 6))
RANK2 = RNG.standard_normal((5, 3)) * [1.0, 1.0, 0.0]  # its third singular value is exactly 0
GS, ES = RNG.standard_normal((5, 3)), RNG.standard_normal((5, 3))
ROWS = {
    "log of the identity": (np.eye(6), G, E, lambda *a: of_matrix(LOG, *a), linalg.logmh, log_peer),
    "log, spectrum (1,1,1,2,2,5)": (spd(1, 1, 1, 2, 2, 5), G, E, lambda *a: of_matrix(LOG, *a), linalg.logmh, log_peer),
    "square root, same spectrum": (
        spd(1, 1, 1, 2, 2, 5),
        G,
        E,
        lambda *a: of_matrix(SQRT, *a),
        linalg.sqrtmh,
        eigh_function(lambda lib, w: lib.sqrt(w)),
    ),
    "V diag(w) V^T at the identity": (
        np.eye(6),
        G,
        E,
        linear,
        lambda x: linalg.spectral(x, identity),
        eigh_function(lambda lib, w: w),
    ),
    "O2P log(F^T F + 1e-3 I), F 3 × 6": (
        F36,
        G,
        RNG.standard_normal((3, 6)),
        lambda *a: of_features(LOG, *a),
        second_order_pooling,
        pooling_peer,
    ),
    "projector on the top 2, spectrum (.2,.2,.5,1,3,3)": (
        spd(0.2, 0.2, 0.5, 1, 3, 3),
        G,
        E,
        lambda *a: of_matrix(STEP, *a),
        lambda x: linalg.top_projector(x, 2),
        projector_peer,
    ),
    "log, near ties 1, 1+1e-9, 1+2e-9, 2, 2, 5": (
        spd(1, 1 + 1e-9, 1 + 2e-9, 2, 2, 5),
        G,
        E,
        lambda *a: of_matrix(LOG, *a),
        linalg.logmh,
        log_peer,
    ),
    "U S V^T of diag(1,1,2,3)": (
        np.diag([1.0, 1, 2, 3]),
        G[:4, :4] + np.triu(G[:4, :4]),
        E[:4, :4],
        linear,
        lambda x: linalg.svd_function(x, identity),
        svd_peer,
    ),
    "U S V^T of a rank-2 5 × 3": (RANK2, GS, ES, linear, lambda x: linalg.svd_function(x, identity), svd_peer),
}


class Torch:
    """The few functions that the peers' losses use, of PyTorch."""

    def __init__(self):
        self.torch = pytest.importorskip("torch")
        self.log, self.sqrt, self.eigh = self.torch.log, self.torch.sqrt, self.torch.linalg.eigh

    def eye(self, n):
        return self.torch.eye(n, dtype=self.torch.float64)

    def svd(self, x):
        return self.torch.linalg.svd(x, full_matrices=False)

    def gradient(self, loss, x, g):
        x = self.torch.tensor(x, requires_grad=True)
        loss(self, x, self.torch.tensor(g)).backward()
        return x.grad.numpy()


class Autograd:
    """The same of HIPS autograd."""

    def __init__(self):
        self.autograd = pytest.importorskip("autograd")
        import autograd.numpy as anp

        self.log, self.sqrt, self.eye, self.eigh = anp.log, anp.sqrt, anp.eye, anp.linalg.eigh
        self.svd = lambda x: anp.linalg.svd(x, full_matrices=False)

    def gradient(self, loss, x, g):
        return self.autograd.grad(lambda v: loss(self, v, g))(x)


class Jax:
    """The same of JAX, where it is installed: it is not among the test requirements."""

    def __init__(self):
        import jax

        jax.config.update("jax_enable_x64", True)
        self.jax, jnp = jax, jax.numpy
        self.log, self.sqrt, self.eye, self.eigh = jnp.log, jnp.sqrt, jnp.eye, jnp.linalg.eigh
        self.svd = lambda x: jnp.linalg.svd(x, full_matrices=False)

    def gradient(self, loss, x, g):
        return np.asarray(self.jax.grad(lambda v: loss(self, v, g))(x))


def arrmb_errors(x, g, e, truth, function):
    def loss(x):
        return arrmb.namespace(x).sum(g * function(x))

    first, second = truth(x, g, e)
    got, change = arrmb.grad(loss)(x), arrmb.hvp(loss, (x,), (e,))[0]
    if not np.any(second):  # the Hessian is zero: relative to what it would be of order one
        return relative(got, first), np.linalg.norm(change) / (np.linalg.norm(g) * np.linalg.norm(e))
    return relative(got, first), relative(change, second)


def relative(got, truth):
    return float(np.linalg.norm(got - truth) / np.linalg.norm(truth))


def symmetric(row, gradient):
    """A peer's gradient with respect to a symmetric argument, in arrmb's convention: its symmetric part."""
    return gradient if "V^T of" in row or "O2P" in row else 0.5 * (gradient + gradient.T)


@pytest.mark.parametrize("row", ROWS)
def test_exact_at_ties(row):
    x, g, e, truth, function, _ = ROWS[row]
    first, second = arrmb_errors(x, g, e, truth, function)
    assert first <= 1e-12
    assert second <= 1e-8


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")  # the peers divide by zero: that is the point
def test_table_beside_the_peers():
    peers = {}
    for name, peer in {"PyTorch": Torch, "JAX": Jax, "autograd": Autograd}.items():
        try:
            peers[name] = peer()
        except (ImportError, pytest.skip.Exception):
            continue
    heads = [f"{p:>10}" for p in (*peers, "arrmb")]
    lines = [f"{'relative error of the gradient':52}" + "".join(heads) + f"{'2nd order':>11}"]
    for row, (x, g, e, truth, function, peer_loss) in ROWS.items():
        cells = []
        for peer in peers.values():
            try:
                error = relative(symmetric(row, peer.gradient(peer_loss, x, g)), truth(x, g, e)[0])
            except Exception as failure:  # a solver that gives up is a result too
                error = type(failure).__name__
            cells.append(f"{error:>10.1e}" if isinstance(error, float) else f"{error[:9]:>10}")
        first, second = arrmb_errors(x, g, e, truth, function)
        lines.append(f"{row:52}" + "".join(cells) + f"{first:>10.1e}{second:>11.1e}")
        assert first <= 1e-12 and second <= 1e-8
    print("\n" + "\n".join(lines))
