"""LU decomposition, X = P L U, with the pivots P of the backend, L with a unit diagonal; X (m, n) of any shape.

P is locally constant. A = P^T X, k = min(m, n); A11 is the leading k × k block, A21 what is below it (m > n), A12
what is to the right of it (m < n), L1, L2 and U1, U2 likewise. With Λ the strictly lower triangle and Υ the rest,

    A11 = L1 U1,  F = L1^-1 dA11 U1^-1 = L1^-1 dL1 + dU1 U1^-1    =>  dL1 = L1 Λ(F),  dU1 = Υ(F) U1
    A21 = L2 U1                                                   =>  dL2 = dA21 U1^-1 - L2 Υ(F)
    A12 = L1 U2                                                   =>  dU2 = L1^-1 dA12 - Λ(F) U2

    Fbar = Λ(L1^H L1bar - U2bar U2^H) + Υ(U1bar U1^H - L2^H L2bar)
    A11bar = L1^-H Fbar U1^-H,  A21bar = L2bar U1^-H,  A12bar = L1^-H U2bar,  Xbar = P Abar

Source: Giles, "Collected matrix derivative results for forward and reverse mode AD" (2008), for the method; de Hoog,
Anderssen, Lukas, "Differentiation of matrix functionals using triangular factorization", Math. Comp. 80 (2011),
theorem 1, for the square case.
Domain: real or complex, batched, the first k columns independent; smooth for the pivots that the backend chose, exact
at any order. Where the columns are dependent L and U have no derivative: the rules raise where values can be looked at
and a pivot is 0 to rounding, and give NaN elsewhere.
"""

from .._lapack import lu as _backend_lu
from .._xp import H, is_traced, namespace, raw
from ..tape.core import Op
from .qr import inverse_of_independent


def _forward(x):
    p, lower, upper = lu(x) if is_traced(x) else _backend_lu(x)
    return (p, lower, upper), (raw(p), lower, upper)


def _blocks(lower, upper):
    k = upper.shape[-2]
    return lower[..., :k, :], lower[..., k:, :], upper[..., :k], upper[..., k:]


def _inverses(l1, u1):
    """L1^-1 and U1^-1, where no pivot is zero."""
    uinv = inverse_of_independent(
        u1,
        "lu: column {} of x depends linearly on those before it, to rounding: L and U have no derivative; for the "
        "determinant use det or slogdet",
    )
    return namespace(l1).linalg.inv(l1), uinv


def _variation(saved, dx):
    p, lower, upper = saved
    l1, l2, u1, u2 = _blocks(lower, upper)
    linv, uinv = _inverses(l1, u1)
    k = u1.shape[-1]
    da = H(p) @ dx
    xp = namespace(lower, da)
    f = linv @ da[..., :k, :k] @ uinv
    strict, rest = xp.tril(f, k=-1), xp.triu(f)
    dl, du = l1 @ strict, rest @ u1
    if l2.shape[-2]:
        dl = xp.concat([dl, da[..., k:, :] @ uinv - l2 @ rest], axis=-2)
    if u2.shape[-1]:
        du = xp.concat([du, linv @ da[..., k:] - strict @ u2], axis=-1)
    return None, dl, du


def _adjoint(saved, _, lbar, ubar):
    p, lower, upper = saved
    if lbar is None and ubar is None:
        return None
    l1, l2, u1, u2 = _blocks(lower, upper)
    linv, uinv = _inverses(l1, u1)
    k = u1.shape[-1]
    xp = namespace(lower, *[b for b in (lbar, ubar) if b is not None])
    below, above = 0.0 * u1, 0.0 * u1
    if lbar is not None:
        below = H(l1) @ lbar[..., :k, :]
    if ubar is not None:
        above = ubar[..., :k] @ H(u1)
    if l2.shape[-2] and lbar is not None:
        above = above - H(l2) @ lbar[..., k:, :]
    if u2.shape[-1] and ubar is not None:
        below = below - ubar[..., k:] @ H(u2)
    abar = H(linv) @ (xp.tril(below, k=-1) + xp.triu(above)) @ H(uinv)
    if l2.shape[-2]:
        a21 = 0.0 * l2 if lbar is None else lbar[..., k:, :] @ H(uinv)
        abar = xp.concat([abar, a21], axis=-2)
    if u2.shape[-1]:
        a12 = 0.0 * u2 if ubar is None else H(linv) @ ubar[..., k:]
        abar = xp.concat([abar, a12], axis=-1)
    return p @ abar


lu = Op("lu", _forward, _variation, _adjoint)
