"""Thin QR decomposition, X = Q R, X (m, n) with m >= n, R upper triangular with a real diagonal.

With G = dX R^-1, N = Q^H G, and Φ the lower triangle with half the diagonal:

    Q^H Q = I  =>  Q^H dQ = Ω skew-Hermitian;   dR R^-1 = N - Ω upper triangular with a real diagonal
               =>  Ω = Φ(N) - Φ(N)^H
    dR = (N - Ω) R,   dQ = Q Ω + (I - Q Q^H) G = Q (Ω - N) + G

    T = Q^H Qbar - Rbar R^H,   <Rbar, dR> + <Qbar, dQ> = <T, Ω - N> + <Qbar, G>,   <T, Ω> = <Φ(T - T^H), N>
    Xbar = (Q (Φ(T - T^H) - T) + Qbar) R^-H

Source: Walter, Lehmann, Lamour, "On evaluating higher-order derivatives of the QR decomposition of tall matrices with
full column rank in forward and reverse mode algorithmic differentiation" (2012); the complex diagonal by the same
argument.
Domain: full column rank, real or complex, batched; smooth for the signs that the backend chose, exact at any order.
"""

from .._xp import H, namespace
from ..tape.core import Op
from .cholesky import lower_half


def _forward(x):
    q, r = namespace(x).linalg.qr(x, mode="reduced")
    return (q, r), (q, r)


def _variation(saved, dx):
    q, r = saved
    g = dx @ namespace(r).linalg.inv(r)
    n = H(q) @ g
    half = lower_half(n)
    omega = half - H(half)
    return q @ (omega - n) + g, (n - omega) @ r


def _adjoint(saved, qbar, rbar):
    q, r = saved
    t = 0.0
    if qbar is not None:
        t = H(q) @ qbar
    if rbar is not None:
        t = t - rbar @ H(r)
    gbar = q @ (lower_half(t - H(t)) - t)
    if qbar is not None:
        gbar = gbar + qbar
    return gbar @ H(namespace(r).linalg.inv(r))


qr = Op("qr", _forward, _variation, _adjoint)
