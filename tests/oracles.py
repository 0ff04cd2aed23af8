"""Derivatives of matrix functions with mpmath, sharing no code with the ops: the truth that tests compare with.

An input's floating-point numbers are taken as they are, so a truth has no rounding of its own. All is computed with 90
digits, of which a second divided difference over gaps of 1e-17 loses 34: more than 50 are left.
"""

import mpmath
import numpy as np

DIGITS = 90
EQUAL = mpmath.mpf(10) ** -40  # eigenvalues closer than this are equal: those of exact ties come out 1e-88 apart


class Function:
    """A function of a real variable with two derivatives, and its divided differences."""

    def __init__(self, f, df, d2f):
        self.f, self.df, self.d2f = f, df, d2f

    def values(self, w):
        return [self.f(x) for x in w]

    def divided(self, w):
        """A function of up to three indices into the ascending points ``w``: the divided difference over them."""
        values, known = self.values(w), {}

        def over(*indices):
            indices = tuple(sorted(indices))
            if indices not in known:
                known[indices] = compute(indices)
            return known[indices]

        def compute(indices):
            if len(indices) == 1:
                return values[indices[0]]
            gap = w[indices[-1]] - w[indices[0]]
            if gap < EQUAL:
                return self.df(w[indices[0]]) if len(indices) == 2 else self.d2f(w[indices[0]]) / 2
            return (over(*indices[1:]) - over(*indices[:-1])) / gap

        return over


class Top(Function):
    """1 on the ``k`` largest of the points, 0 on the others: the projector's function, without derivative inside."""

    def __init__(self, k):
        super().__init__(None, lambda x: mpmath.mpf(0), lambda x: mpmath.mpf(0))
        self.k = k

    def values(self, w):
        return [mpmath.mpf(i >= len(w) - self.k) for i in range(len(w))]


def power(p):
    p = mpmath.mpf(p)
    return Function(lambda x: x**p, lambda x: p * x ** (p - 1), lambda x: p * (p - 1) * x ** (p - 2))


LOG = Function(mpmath.log, lambda x: 1 / x, lambda x: -1 / x**2)
EXP = Function(mpmath.exp, mpmath.exp, mpmath.exp)
SQRT = power(0.5)
INVSQRT = power(-0.5)
TANH = Function(mpmath.tanh, lambda x: mpmath.sech(x) ** 2, lambda x: -2 * mpmath.tanh(x) * mpmath.sech(x) ** 2)


def mp(x):
    """The mpmath matrix of the very numbers of a real array."""
    return mpmath.matrix(np.asarray(x).tolist())


def numbers(x):
    return np.asarray(x.tolist(), dtype=float).reshape(x.rows, x.cols)


def relative(got, truth):
    """Error relative to the truth, both as Frobenius norms."""
    got, truth = np.asarray(got, dtype=float), np.asarray(truth, dtype=float)
    return float(np.linalg.norm(got - truth) / np.linalg.norm(truth))


def derivatives(f, a, g, e):
    """The gradient L(g) of ``<g, f(a)>`` at a symmetric matrix, and its change D²(g, e) (mpmath matrices)."""
    w, v = mpmath.eigsy(a)
    n, divided = a.rows, f.divided(w)
    gh, eh = v.T * g * v, v.T * e * v
    first, second = mpmath.zeros(n), mpmath.zeros(n)
    for i in range(n):
        for j in range(n):
            first[i, j] = divided(i, j) * gh[i, j]
            second[i, j] = mpmath.fsum(divided(i, k, j) * (gh[i, k] * eh[k, j] + eh[i, k] * gh[k, j]) for k in range(n))
    return v * first * v.T, v * second * v.T


def of_matrix(f, x, g, e):
    """Gradient of ``<g, f(x)>`` at a symmetric ``x``, and its derivative along ``e``: float64 arrays."""
    with mpmath.workdps(DIGITS):
        return tuple(numbers(y) for y in derivatives(f, mp(x), mp(g), mp(e)))


def of_features(f, x, g, e, epsilon=1e-3):
    """The same for ``f(x^T x + epsilon I)``: 2 x L(g), and its change along e."""
    with mpmath.workdps(DIGITS):
        x, g, e = mp(x), mp(g), mp(e)
        a = x.T * x + mpmath.mpf(epsilon) * mpmath.eye(x.cols)
        first, second = derivatives(f, a, g, e.T * x + x.T * e)
        return numbers(2 * x * first), numbers(2 * e * first + 2 * x * second)


def of_rational(x, g, e):
    """The same for U f(S) V^T with f(s) = s/(1 + s²), which is x (I + x^T x)^-1: no decomposition at all."""
    with mpmath.workdps(DIGITS):
        x, g, e = mp(x), mp(g), mp(e)
        m = (mpmath.eye(x.cols) + x.T * x) ** -1
        dm = -m * (e.T * x + x.T * e) * m
        a = m * x.T * g * m
        da = dm * x.T * g * m + m * e.T * g * m + m * x.T * g * dm
        first = g * m - x * (a + a.T)
        second = g * dm - e * (a + a.T) - x * (da + da.T)
        return numbers(first), numbers(second)


def linear(x, g, e):
    """The same for a function that is the identity."""
    return g, np.zeros_like(g)


def _double(f, a):
    """Eigenvectors, first and second divided differences at the eigenvalues of ``a``, rounded to float64."""
    with mpmath.workdps(DIGITS):
        a = mp(a)
        w, v = mpmath.eigsy(a)
        divided, n = f.divided(w), range(a.rows)
        first = np.asarray([[float(divided(i, j)) for j in n] for i in n])
        second = np.asarray([[[float(divided(i, k, j)) for j in n] for k in n] for i in n])
        return numbers(v), first, second


def _second(second, g, e):
    """D²(g, e) in the basis of eigenvectors, in float64."""
    return np.einsum("ikj,ik,kj->ij", second, e, g) + np.einsum("ikj,ik,kj->ij", second, g, e)


def sensitivity(f, x, g, factor=None):
    """Relative change of the gradient L(g) of ``<g, f(x)>`` for a relative change of ``x``: ‖x‖ ‖D²(g, ·)‖ / ‖L(g)‖.

    The norm of the map E -> D²(g, E) is the root mean square over symmetric directions of norm 1. With ``factor``, that
    of ``factor @ L(g)``.
    """
    x, g = np.asarray(x, dtype=float), np.asarray(g, dtype=float)
    v, first, second = _double(f, x)
    n, g, left = len(x), v.T @ g @ v, v if factor is None else np.asarray(factor, dtype=float) @ v
    squares = []
    for i in range(n):
        for j in range(i + 1):  # an orthonormal basis of the symmetric matrices
            e = np.zeros((n, n))
            e[i, j] = e[j, i] = 1.0 if i == j else 0.5**0.5
            squares.append(np.sum((left @ _second(second, g, e)) ** 2))
    return float(np.linalg.norm(x) * np.mean(squares) ** 0.5 / np.linalg.norm(left @ (first * g)))


def features_sensitivity(f, x, g, epsilon=1e-3):
    """`sensitivity` for `of_features`, over all directions of the features."""
    x, g = np.asarray(x, dtype=float), np.asarray(g, dtype=float)
    v, first, second = _double(f, x.T @ x + epsilon * np.eye(x.shape[1]))
    x, g = x @ v, v.T @ g @ v
    gradient, squares = first * g, []
    for e in np.eye(x.size).reshape(-1, *x.shape):
        squares.append(np.sum((e @ gradient + x @ _second(second, g, e.T @ x + x.T @ e)) ** 2))
    return float(np.linalg.norm(x) * np.mean(squares) ** 0.5 / np.linalg.norm(x @ gradient))


def rational_sensitivity(x, g):
    """`sensitivity` for `of_rational`, over all directions of a rectangular ``x``."""
    x, g = np.asarray(x, dtype=float), np.asarray(g, dtype=float)
    m = np.linalg.inv(np.eye(x.shape[1]) + x.T @ x)
    a = m @ x.T @ g @ m
    total = 0.0
    for e in np.eye(x.size).reshape(-1, *x.shape):
        dm = -m @ (e.T @ x + x.T @ e) @ m
        da = dm @ x.T @ g @ m + m @ e.T @ g @ m + m @ x.T @ g @ dm
        total += np.sum((g @ dm - e @ (a + a.T) - x @ (da + da.T)) ** 2)
    return float(np.linalg.norm(x) * (total / x.size) ** 0.5 / np.linalg.norm(g @ m - x @ (a + a.T)))
