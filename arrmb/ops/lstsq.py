"""Least squares, X = A⁺ B: of all X with the least ‖A X - B‖, that with the least ‖X‖. Rank as in `pinv.py`.

With Y = A⁺ and the residual R = B - A X, the rule of the pseudo-inverse times B is

    dX = Y (dB - dA X) + Y Y^H dA^H R + (I - Y A) dA^H Y^H X
    G = Y^H Xbar,   Bbar = G,   Abar = -G X^H + R (Y G)^H + Y^H X ((I - Y A) Xbar)^H

Full column rank: the last term is zero. Y is never formed: Y v = V s⁺ (Q U)^H v.

Source: Golub and Pereyra (1973), theorem 4.3; Giles (2008) has the case of full rank, 2.3.1, as two systems.
Domain: any shape but empty matrices, real or complex, batched with broadcasting; constant rank, and rtol only of the
size of rounding, as for `pinv`; with a larger one, `truncated_pinv` times B. Exact at any order: second and higher
orders run on X = Y B, Y from the op `pinv`.
"""

from .._threads import over_batch
from .._xp import H, namespace
from ..tape.core import Op, lift
from .pinv import factors, pinv


def _forward(a, b, *, rtol=None):
    q, u, vh, kept = factors(a, rtol)
    x = H(vh) @ (H(u) @ (H(q) @ b))
    left, right = q @ u, vh * namespace(a).astype(kept, vh.dtype)[..., None]
    return x, (x, b - a @ x, left, right)


def _variation(saved, da, db):
    x, r, left, right = saved
    dx, rhs = None, db
    if da is not None:
        rhs = -(da @ x) if db is None else db - da @ x
        v = H(da) @ (left @ (right @ x))
        dx = H(right) @ (H(left) @ (left @ (right @ (H(da) @ r)))) + v - H(right) @ (right @ v)
    y = H(right) @ (H(left) @ rhs)
    return y if dx is None else y + dx


def _adjoint(saved, xbar):
    x, r, left, right = saved
    g = left @ (right @ xbar)
    off = xbar - H(right) @ (right @ xbar)
    abar = r @ H(H(right) @ (H(left) @ g)) - g @ H(x) + left @ (right @ x) @ H(off)
    return abar, g


def _composite(a, b, *, rtol=None):
    return lift(pinv(a, rtol=rtol)) @ lift(b)


lstsq = Op("lstsq", *over_batch(_forward, _variation, _adjoint, cost=20.0), _composite)
