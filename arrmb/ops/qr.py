"""QR decomposition, X = Q R, X (m, n) with m >= n, R upper triangular with a real diagonal; thin or complete.

With G = dX R^-1, N = Q^H G, and Φ the lower triangle with half the diagonal:

    Q^H Q = I  =>  Q^H dQ = Ω skew-Hermitian;   dR R^-1 = N - Ω upper triangular with a real diagonal
               =>  Ω = Φ(N) - Φ(N)^H
    dR = (N - Ω) R,   dQ = Q Ω + (I - Q Q^H) G = Q (Ω - N) + G

    T = Q^H Qbar - Rbar R^H,   <Rbar, dR> + <Qbar, dQ> = <T, Ω - N> + <Qbar, G>,   <T, Ω> = <Φ(T - T^H), N>
    Xbar = (Q (Φ(T - T^H) - T) + Qbar) R^-H

Complete: Q = [Q1 Q2], R = [R1; 0]. Q2 is an arbitrary basis of the complement of the columns; in the gauge
Q2^H dQ2 = 0,

    dQ2 = -Q1 G^H Q2                              Qbar, in the formulas above for Q1, gains -Q2 (Q2bar^H Q1)

The part Q2^H Q2bar of the cotangent is left out: it is Hermitian for a loss of the projector Q2 Q2^H.
``gauge="raise"`` raises in the adjoint where it is not.

Source: Walter, Lehmann, Lamour, "On evaluating higher-order derivatives of the QR decomposition of tall matrices with
full column rank in forward and reverse mode algorithmic differentiation" (2012); the complex diagonal by the same
argument; the complement as in `svd.py`.
Domain: full column rank, real or complex, batched; smooth for the signs that the backend chose, exact at any order, for
losses of Q2 as told. Where a column depends on those before it, to rounding, Q has no derivative: the rules raise where
values can be looked at, and give NaN elsewhere.
"""

from .._lapack import qr as _backend_qr
from .._threads import over_batch
from .._xp import H, diag_part, eps, eye_like, is_traced, known, namespace, on_host, raw
from ..tape.core import Op
from .cholesky import lower_half


def _forward(x, *, mode="reduced", gauge="drop"):
    if is_traced(x):
        q, r = qr(x, mode=mode, gauge=gauge)
    else:
        q, r = _backend_qr(x) if mode == "reduced" else namespace(x).linalg.qr(x, mode=mode)
    return (q, r), (q, r, gauge)


def inverse_of_independent(r, message):
    """R^-1 of an upper triangle with independent columns: |r_jj| is what column j adds to those before it.

    Otherwise an error, ``message`` with the number of a column; NaN where values cannot be looked at. Rounding leaves a
    few eps of a dependent column, whatever its height (measured: `projector.py`).
    """
    below = raw(r)
    if 0 in below.shape:
        return r
    xp, n = namespace(below), below.shape[-1]
    dependent = xp.abs(diag_part(below)) <= max(10, n) * eps(below) * xp.max(xp.abs(below), axis=-2)
    if on_host(below):
        if bool(xp.any(dependent)):
            first = int(xp.argmax(xp.reshape(xp.astype(dependent, xp.int64), (-1,)))) % n
            raise ValueError(message.format(first))
        return namespace(r).linalg.inv(r)
    lost, xp = xp.any(dependent, axis=-1)[..., None, None], namespace(r)
    return xp.where(lost, float("nan"), xp.linalg.inv(xp.where(lost, eye_like(r), r)))  # PyTorch's inv would raise


def _inverse(r):
    return inverse_of_independent(
        r,
        "qr: column {} of x depends linearly on those before it, to rounding: Q and R have no derivative; for the "
        "projector on the columns use projector or project, of any rank",
    )


def _variation(saved, dx):
    q, r, _ = saved
    n = r.shape[-1]
    q, q2, r, below = q[..., :n], q[..., n:], r[..., :n, :], r[..., n:, :]
    g = dx @ _inverse(r)
    inside = H(q) @ g
    half = lower_half(inside)
    omega = half - H(half)
    dq, dr = q @ (omega - inside) + g, (inside - omega) @ r
    if not q2.shape[-1]:
        return dq, dr
    xp = namespace(dq)
    return xp.concat([dq, -(q @ (H(g) @ q2))], axis=-1), xp.concat([dr, xp.zeros_like(below)], axis=-2)


def _adjoint(saved, qbar, rbar):
    q, r, gauge = saved
    n = r.shape[-1]
    q, q2, r = q[..., :n], q[..., n:], r[..., :n, :]
    t = 0.0
    if qbar is not None:
        if q2.shape[-1]:
            if gauge == "raise":
                _check_complement(n, q2, qbar)
            qbar = qbar[..., :n] - q2 @ (H(qbar[..., n:]) @ q)
        t = H(q) @ qbar
    if rbar is not None:
        t = t - rbar[..., :n, :] @ H(r)
    gbar = q @ (lower_half(t - H(t)) - t)
    if qbar is not None:
        gbar = gbar + qbar
    return gbar @ H(_inverse(r))


def _check_complement(n, q2, qbar):
    q2, qbar = known(raw(q2), 'gauge="raise"'), known(raw(qbar), 'gauge="raise"')
    xp = namespace(q2)
    if 0 in qbar.shape:
        return
    core = H(q2) @ qbar[..., n:]
    size = float(xp.max(xp.abs(0.5 * (core - H(core)))))
    if size > eps(q2) ** 0.5 * float(xp.max(xp.abs(qbar))):
        raise ValueError(
            f"qr: the loss depends on the choice of the last {q2.shape[-1]} columns Q2 of Q, an arbitrary basis: the "
            f"skew part of Q2^H Q2bar is {size:.3g}; write the loss with the projector Q2 Q2^H, or use mode='reduced'"
        )


qr = Op("qr", *over_batch(_forward, _variation, _adjoint, cost=4.0))
