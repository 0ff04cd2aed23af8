"""Square roots and Lyapunov equations by the matrix sign iteration, with products of matrices only.

The scaled Newton-Schulz step M <- ½ α M (3I - α² M²) takes a matrix M with real eigenvalues to sign(M).

Square roots. sign([[0, X], [I, 0]]) = [[0, X^½], [X^-½, 0]]; with A = X / c, c = ‖X‖_F per matrix, Y_0 = A, Z_0 = I:

    T = ½ α (3I - α² Z Y),    Y' = Y T,    Z' = T Z,           S = √c Y_K,    W = Z_K / √c

Lyapunov equation S L + L S = G. sign([[S, G], [0, -S]]) = [[I, 2L], [0, -I]]; with B_0 = S/b, C_0 = G/b, b² = ‖S²‖_F
(so that B starts with the eigenvalues of A^½, as the iteration for the roots does), α absorbed into B and C each time:

    C' = ½ (3C - B²C + BCB - CB²) = ½ (3C - [B (2BC - CB)]_sym),    B' = ½ B (3I - B²),    L = ½ C_K

Scaling. Let the eigenvalues of M be ±x, l <= x <= 1. Then f(x) = ½ α x (3 - α² x²) with α² = 3/(1 + l + l²) has
f(l) = f(1), its maximum is 1, and the new l is f(l). α is bounded by 1.5, for which f(1) = 0.56 and a small x grows by
2.25 in a step, against 1.5 without scaling: half the steps. Up to √3 the growth would be 2.6, but f(1) = 0: 1 is
mapped to nearly 0, with the relative error that cancellation brings (at α <= 1.7, measured, ten times the error in L).
As l -> 1 the convergence is quadratic. The scales for K steps are those for the smallest l that K steps take to 1 to
rounding error; they are fixed numbers, whatever the matrix.

    K = 5 + ½ log(‖X‖_F / λ_min)/log(9/4),   ‖X‖_F / λ_min <= √n κ       (7 for 1e2, 13 for 1e6, 18 for 1e9)

Derivatives are those of the square root, not of the truncated map; they are equal where it has converged:

    S² = X  =>  S dS + dS S = dX        dS = L(S, dX),   dW = -W dS W
                                        Xbar = L(S, Sbar - W Wbar W)

and of L = L(S, G), which the second order needs, in the same manner:

    S dL + dL S = dG - dS L - L dS      Gbar = L(S, Lbar),   Sbar = -(Gbar L + L Gbar)

Source: Higham, "Functions of Matrices" (2008), 5.3 and 6.7; Roberts, "Linear model reduction and solution of the
algebraic Riccati equation by use of the sign function" (1971; 1980), for the equation; Chen and Chow, "A stable scaling
of Newton-Schulz for improving the sign function computation of a Hermitian matrix" (2014), for the scaling; Song, Sebe,
Wang, "Fast differentiable matrix square root" (ICLR 2022), for the use in backpropagation.
Domain: Hermitian positive definite (Hermitian parts are used), real or complex, batched; √n κ as above, or the result
is not a square root. Exact at any order, whatever multiplicities: the rules are these ops again.
"""

import functools
import math

from .._tf32 import products
from .._threads import over_batch
from .._xp import H, eps, eye_like, is_traced, namespace, sym
from ..tape.core import Op
from .newton_schulz import bounded, frobenius

_LARGEST_SCALE = 1.5


def _step(low):
    """The scale for eigenvalues in [low, 1], and their lower bound after the step."""
    scale = min(math.sqrt(3.0 / (1.0 + low + low * low)), _LARGEST_SCALE)
    return scale, min(0.5 * scale * u * (3.0 - (scale * u) ** 2) for u in (low, 1.0))


@functools.cache
def scales(iterations, tolerance):
    """The scale of each of so many steps."""

    def run(low):
        found = []
        for _ in range(iterations):
            scale, low = _step(low)
            found.append(scale)
        return found, low

    a, b = math.log(1e-200), 0.0
    for _ in range(60):  # the smallest lower bound that becomes 1: bisection
        middle = 0.5 * (a + b)
        if run(math.exp(middle))[1] >= 1.0 - tolerance:
            b = middle
        else:
            a = middle
    return tuple(run(math.exp(b))[0])


@functools.cache
def steps_for(low, tolerance):
    """The number of steps after which eigenvalues in [low, 1] are 1."""
    count = 0
    while low < 1.0 - tolerance:
        low = _step(low)[1]
        count += 1
    return count


# L(S, G)


def _lyapunov_forward(s, g, *, iterations, precision=None):
    how = {"iterations": iterations, "precision": precision}
    if is_traced(s) or is_traced(g):
        y = lyapunov(s, g, **how)
        return y, (s, y, how)
    times = products(precision)
    s = sym(s)
    s2 = times(s, s)
    size = namespace(s).sqrt(frobenius(s2))
    b, b2, c = s / size, s2 / size / size, sym(g) / size
    schedule = scales(iterations, eps(s))
    for k, scale in enumerate(schedule):
        b, b2, c = scale * b, scale * scale * (b2 if k == 0 else times(b, b)), scale * c
        cb = times(c, b)
        c = 1.5 * c - 0.5 * sym(times(b, 2.0 * H(cb) - cb))
        if k + 1 < len(schedule):
            b = 1.5 * b - 0.5 * times(b, b2)
    y = 0.5 * c
    return y, (s, y, how)


def _lyapunov_ds(saved, ds):
    s, y, how = saved
    product = products(how["precision"])(sym(ds), y)
    return -lyapunov(s, product + H(product), **how)


def _lyapunov_dg(saved, dg):
    s, _, how = saved
    return lyapunov(s, dg, **how)


def _lyapunov_sbar(saved, ybar):
    s, y, how = saved
    product = products(how["precision"])(lyapunov(s, ybar, **how), y)
    return -(product + H(product))


lyapunov = Op(
    "sign_lyapunov",
    *over_batch(_lyapunov_forward, (_lyapunov_ds, _lyapunov_dg), (_lyapunov_sbar, _lyapunov_dg)),
)


# S and W


def _root_forward(x, *, iterations, precision=None):
    how = {"iterations": iterations, "precision": precision}
    if is_traced(x):
        s, w = sign_root(x, **how)
        return (s, w), (s, w, how)
    times = products(precision)
    x = sym(x)
    c = frobenius(x)
    a = x / c
    three = 3.0 * eye_like(a)
    y, z = a, None
    for scale in scales(iterations, eps(x)):
        t = (0.5 * scale) * (three - scale * scale * (y if z is None else bounded(times(z, y))))
        y, z = times(y, t), t if z is None else times(t, z)
    root = namespace(x).sqrt(c)
    s, w = sym(y) * root, sym(z) / root
    return (s, w), (s, w, how)


def root_variation(saved, dx):
    """dS and dW of any algorithm that has S and W; ``saved`` ends with how to solve Lyapunov equations."""
    s, w, how = saved
    times = products(how["precision"])
    ds = lyapunov(s, dx, **how)
    return ds, -times(times(w, ds), w)


def root_adjoint(saved, sbar, wbar):
    """The transpose of `root_variation`."""
    s, w, how = saved
    g = sbar
    if wbar is not None:
        times = products(how["precision"])
        g = -times(times(w, sym(wbar)), w)
        g = g if sbar is None else sbar + g
    return lyapunov(s, g, **how)


sign_root = Op("sign_root", *over_batch(_root_forward, root_variation, root_adjoint))
