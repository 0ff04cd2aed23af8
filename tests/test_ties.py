"""Gradients at ties: arrmb and its peers against 60 digits, one row per case. Run with -s to see the table.

The losses do not depend on the free choice of eigenvectors, so that the true gradient exists. The peers go through
eigh or svd, which is all that they offer; arrmb through the function that is meant for the case.
"""

import numpy as np
import peers
import pytest
from oracles import LOG, SQRT, Top, linear, of_features, of_matrix, relative

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


# ----------------------------------------------------------------- the rows: input, truth, arrmb's way, the peers' way


identity = lambda w: w  # noqa: E731
F36 = RNG.standard_normal((3, 6))
RANK2 = RNG.standard_normal((5, 3)) * [1.0, 1.0, 0.0]  # its third singular value is exactly 0
GS, ES = RNG.standard_normal((5, 3)), RNG.standard_normal((5, 3))
ROWS = {
    "log of the identity": (np.eye(6), G, E, lambda *a: of_matrix(LOG, *a), linalg.logmh, peers.log),
    "log, spectrum (1,1,1,2,2,5)": (
        spd(1, 1, 1, 2, 2, 5),
        G,
        E,
        lambda *a: of_matrix(LOG, *a),
        linalg.logmh,
        peers.log,
    ),
    "square root, same spectrum": (
        spd(1, 1, 1, 2, 2, 5),
        G,
        E,
        lambda *a: of_matrix(SQRT, *a),
        linalg.sqrtmh,
        peers.eigh_function(lambda lib, w: lib.sqrt(w)),
    ),
    "V diag(w) V^T at the identity": (
        np.eye(6),
        G,
        E,
        linear,
        lambda x: linalg.spectral(x, identity),
        peers.eigh_function(lambda lib, w: w),
    ),
    "O2P log(F^T F + 1e-3 I), F 3 × 6": (
        F36,
        G,
        RNG.standard_normal((3, 6)),
        lambda *a: of_features(LOG, *a),
        second_order_pooling,
        peers.pooling,
    ),
    "projector on the top 2, spectrum (.2,.2,.5,1,3,3)": (
        spd(0.2, 0.2, 0.5, 1, 3, 3),
        G,
        E,
        lambda *a: of_matrix(Top(2), *a),
        lambda x: linalg.top_projector(x, 2),
        peers.projector(2),
    ),
    "log, near ties 1, 1+1e-9, 1+2e-9, 2, 2, 5": (
        spd(1, 1 + 1e-9, 1 + 2e-9, 2, 2, 5),
        G,
        E,
        lambda *a: of_matrix(LOG, *a),
        linalg.logmh,
        peers.log,
    ),
    "U S V^T of diag(1,1,2,3)": (
        np.diag([1.0, 1, 2, 3]),
        G[:4, :4] + np.triu(G[:4, :4]),
        E[:4, :4],
        linear,
        lambda x: linalg.svd_function(x, identity),
        peers.svd_function(identity),
    ),
    "U S V^T of a rank-2 5 × 3": (
        RANK2,
        GS,
        ES,
        linear,
        lambda x: linalg.svd_function(x, identity),
        peers.svd_function(identity),
    ),
}


def arrmb_errors(x, g, e, truth, function):
    def loss(x):
        return arrmb.namespace(x).sum(g * function(x))

    first, second = truth(x, g, e)
    got, change = arrmb.grad(loss)(x), arrmb.hvp(loss, (x,), (e,))[0]
    if not np.any(second):  # the Hessian is zero: relative to what it would be of order one
        return relative(got, first), np.linalg.norm(change) / (np.linalg.norm(g) * np.linalg.norm(e))
    return relative(got, first), relative(change, second)


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
    libraries = peers.installed()
    heads = [f"{p:>10}" for p in (*(lib.name for lib in libraries), "arrmb")]
    lines = [f"{'relative error of the gradient':52}" + "".join(heads) + f"{'2nd order':>11}"]
    for row, (x, g, e, truth, function, peer_loss) in ROWS.items():
        cells = []
        for peer in libraries:
            try:
                error = relative(symmetric(row, peer.gradient(peer_loss, x, g)), truth(x, g, e)[0])
            except Exception as failure:  # a solver that gives up is a result too
                error = type(failure).__name__
            cells.append(f"{error:>10.1e}" if isinstance(error, float) else f"{error[:9]:>10}")
        first, second = arrmb_errors(x, g, e, truth, function)
        lines.append(f"{row:52}" + "".join(cells) + f"{first:>10.1e}{second:>11.1e}")
        assert first <= 1e-12 and second <= 1e-8
    print("\n" + "\n".join(lines))
