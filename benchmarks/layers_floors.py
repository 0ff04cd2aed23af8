"""The floor of each computation: the bare calls of the backend that no implementation avoids, and nothing else.

One factorization and the products of matrices that value and gradient consist of, in the order in which they depend on
each other. What is elementwise (scalings, divided differences, symmetric parts) is left out: the results are the right
amount of work, not the right numbers. Each floor returns the outputs and the function of the cotangents.

Factorizations are the fastest that the backend has. On NumPy, the eigendecomposition is LAPACK's ``syevd`` by SciPy, in
the precision of the matrix, matrix after matrix (without SciPy it is NumPy's, in double precision whatever the matrix);
the others are arrmb's own calls of LAPACK.
"""

import numpy as np

import arrmb
from arrmb import _lapack
from arrmb._lapack import has_scipy, solve_triangle
from arrmb._xp import device, eye_like
from arrmb.ops.tall_qr import tall_qr_multiply

ITERATIONS = 5  # of Newton-Schulz, as in the iSQRT-COV layer


def T(x):
    return arrmb.namespace(x).matrix_transpose(x)


def decompose(x):
    """Eigenvalues and eigenvectors of a batch of symmetric matrices (b, n, n), by the backend's fastest routine."""
    if isinstance(x, np.ndarray) and has_scipy():
        return _syevd(x)
    return tuple(arrmb.namespace(x).linalg.eigh(x))


def _syevd(x):
    from scipy.linalg import get_lapack_funcs

    (syevd,) = get_lapack_funcs(("syevd",), (x,))
    n = x.shape[-1]
    work = {"lwork": 1 + 6 * n + 2 * n * n, "liwork": 3 + 5 * n}  # what LAPACK's documentation asks for
    v, w = np.array(x, order="C"), np.empty(x.shape[:-1], x.dtype)
    for i in range(len(v)):
        w[i], _, _ = syevd(v[i].T, lower=1, overwrite_a=1, **work)  # in place: a symmetric matrix is its transpose
    return w, T(v)


def eigh(x):
    w, v = decompose(x)
    return (w, v), lambda wbar, vbar: v @ (T(v) @ vbar) @ T(v)


def function(x):
    """V f(w) V^T"""
    _, v = decompose(x)
    return v @ T(v), lambda g: v @ (T(v) @ g @ v) @ T(v)


def pooling(f):
    """f(F^T F) on the smaller side."""
    n, d = f.shape[-2:]
    if n >= d:
        _, v = decompose(T(f) @ f)
        return v @ T(v), lambda g: f @ (v @ (T(v) @ g @ v) @ T(v))
    _, u = decompose(f @ T(f))
    t = T(u) @ f

    def backward(g):
        m = t @ g
        return u @ ((m @ T(t)) @ t)

    return T(t) @ t, backward


def newton_schulz(f):
    """The root of F^T F: the iteration without what its first and its last step can do without.

    Its steps T = ½(3I - ZY) are taken as they are, or the products would run into overflow or subnormal numbers.
    """
    a = 0.25 * (T(f) @ f)  # the features of the benchmark have singular values below 2
    three = 1.5 * eye_like(a)
    t = three - 0.5 * a
    y, z, steps = a @ t, t, []
    for k in range(1, ITERATIONS):
        t = three - 0.5 * (z @ y)
        steps.append((y, z, t))
        y, z = y @ t, t @ z if k < ITERATIONS - 1 else None

    def backward(g):
        y, z, t = steps[-1]
        tbar = T(y) @ g
        ybar, zbar = g @ T(t) - T(z) @ tbar, tbar @ T(y)
        for y, z, t in reversed(steps[:-1]):
            tbar = T(y) @ ybar + zbar @ T(z)
            ybar, zbar = ybar @ T(t) - T(z) @ tbar, T(t) @ zbar - tbar @ T(y)
        return f @ (ybar @ T(a) - T(a) @ ybar)

    return y, backward


def svd(x):
    u, s, vh = _lapack.svd(x)

    def backward(ubar, sbar, vhbar):
        core = T(u) @ ubar + vh @ T(vhbar)
        return (u @ core + ubar) @ vh

    return (u, s, vh), backward


def projector(a):
    q, r = _lapack.qr(a)

    def backward(g):
        b = g @ q
        return T(solve_triangle(r, T(b - q @ (T(q) @ b)), False, False))

    return q @ T(q), backward


def normalized_cuts(f, labels):
    xp = arrmb.namespace(f)
    b = xp.astype(labels[..., None] == xp.unique_values(labels), f.dtype)
    degrees = f @ xp.sum(f, axis=-2)[..., None]
    r, overlap, times_q = tall_qr_multiply(f, b)

    def backward(g):
        through_degrees = T(T(f) @ degrees)
        return (b - times_q(overlap)) @ T(solve_triangle(r, overlap, False, False)) + through_degrees

    return overlap, backward


def cholesky(x):
    lower = _lapack.cholesky(x)

    def backward(g):
        half = solve_triangle(T(lower), T(lower) @ g, False, False)
        return solve_triangle(T(lower), T(half), False, False)

    return lower, backward


def upper_triangle(d):
    """Where the entries on and above the diagonal are among the d² of a matrix."""
    i, j = np.triu_indices(d)
    return i * d + j


def step(rows, hidden, joined, weights):
    """The linear maps, the pooling and the head of the region network, forward and backward; no update.

    ``hidden`` (rows of pixels, width) and ``joined`` (batch, n, d) are what the network has after its nonlinearities:
    without them the matrices would be of low rank, and their eigendecomposition faster.
    """
    w1, w2, w3 = weights
    xp = arrmb.namespace(rows)
    b, n, d = joined.shape
    learned = slice(rows.shape[-1], d - 1)  # between the descriptors and the constant
    _ = (rows @ w1, hidden @ w2)
    pooled, back = pooling(joined)
    upper = upper_triangle(d)
    flat = xp.reshape(pooled, (b, d * d))[:, upper]
    scores = flat @ w3

    def backward():
        g3 = T(flat) @ scores
        g = xp.zeros((b, d * d), dtype=flat.dtype, device=device(flat))
        g[:, upper] = scores @ T(w3)
        g = back(xp.reshape(g, pooled.shape))[..., learned]
        g = xp.reshape(g, (b * n, w2.shape[-1]))
        return T(rows) @ (g @ T(w2)), T(hidden) @ g, g3

    return scores, backward
