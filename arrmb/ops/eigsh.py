"""k extremal eigenpairs of a large Hermitian operator, A V = V diag(w), w ascending, and the systems of its derivative.

A depends on some arrays, its leaves, and is known by products: an ``operator`` has, for raw or traced arrays,

    product(leaves)(X) = A X      push(leaves, dleaves, X) = dA X      <pull(leaves, Z, X), dleaves> = <Z, dA X>

With P = V^H dA V, K_ij = 1/(w_j - w_i), 0 where i = j and at ties within the group, Q = I - V V^H, and S the map
b_j -> z_j with (w_j I - A) z_j = Q b_j, V^H z_j = 0, which is self-adjoint:

    (A - w_j I) dv_j = -(dA - dw_j I) v_j   =>  dw = Re diag(P),   dV = V (K ∘ P) + S(dA V)
    <wbar, dw> + <Vbar, dV> = <Y, dA V>,        Y = V (diag(wbar) + K ∘ (V^H Vbar)) + S(Vbar)
    leaves' cotangents = pull(Y, V)                            (for stored entries: those of (Y V^H)_sym, no others)

Only the gap between the group and the rest counts: S is exact whatever ties there are in the rest.

bordered. For second order S itself is an op of all that it depends on. Z, U solve, for right-hand sides B, C,

    (w_j I - A) z_j + V u_j = b_j,   V^H z_j = c_j        (Hermitian, smooth in A, w, V; S(B) = Z for C = 0)
    at eigenpairs    z_j = V c_j + S(b)_j,     u_j = V^H b_j - (w_j - w) ∘ c_j
    variation        (dZ, dU) solves it for    db_j - dw_j z_j + dA z_j - dV u_j,   dc_j - dV^H z_j
    adjoint          (Bbar, Cbar) solves it for (Zbar, Ubar);  wbar_j = -Re<bbar_j, z_j>,
                     Vbar = -Bbar U^H - Z Cbar^H,  leaves' cotangents = pull(Bbar, Z)

so the rules of both ops are compositions of the two with products and pulls.

Source: Ionescu, Vantzos, Sminchisescu, arXiv:1509.07838, section 5, for the group; Magnus, "On differentiating
eigenvalues and eigenvectors" (Econometric Theory 1, 1985), theorem 1, for the resolvent; Lee and Jung, "An efficient
algebraic method for the computation of natural frequency and mode shape sensitivities" (Computers & Structures 62,
1997), for bordered systems with one vector.
Domain: no batch axes, 1 <= k <= n - 3. `krylov.py` computes with its tolerance in place of exact arithmetic: what is
called tied is within twice the largest residual ‖A v - w v‖ + 16 eps ‖A‖, and ‖dV‖ has relative error of about
eps ‖A‖ / gap.

* Distinct eigenvalues in the group: exact at any order, with any ties in the rest.
* Ties within the group: first order as `eigh.py` (losses through the projector on the tied vectors and symmetric
  functions of the tied values); gauge="raise" refuses other losses. Second order: NotImplementedError.
* An eigenpair of the group that ties with one of the rest has no derivative: ValueError, if the loss depends on it.
* Complex losses must not depend on the phases of the vectors.
"""

from .._lapack import to_host
from .._xp import H, conj, device, embed_diag, is_traced, namespace, raw, real
from ..tape.core import Op, has_derivative, lift
from . import gauge as _gauge
from .krylov import deflated_solve, extremal
from .spmm import binder, hermitian, sddmm, spmm

# eigsh: outputs w, V, and edge, which has no derivative: tie tolerance, norm, extreme values of the rest


def _forward(*leaves, operator, k, which, method, tol, v0, maxiter, gauge):
    if any(is_traced(x) for x in leaves):
        w, v, edge = eigsh(
            *leaves, operator=operator, k=k, which=which, method=method, tol=tol, v0=v0, maxiter=maxiter, gauge=gauge
        )
    else:
        w, v, edge = extremal(
            operator.name, operator.product(leaves), operator.like(leaves), operator.n, k,
            which=which, method=method, tol=tol, v0=v0, maxiter=maxiter,
        )  # fmt: skip
    return (w, v, edge), (w, v, edge, operator, which, maxiter, gauge, *leaves)


def _inverse_gaps(w, tied):
    xp = namespace(w)
    gap = w[None, :] - w[:, None]
    return xp.where(tied, 0.0 * gap, 1.0 / xp.where(tied, xp.ones_like(gap), gap))


def _tied(saved, *bars):
    """Which pairs of the group are tied. Raises where there is no derivative, or none that is implemented.

    A loss with the cotangents ``bars`` depends on the eigenpairs for which one of them is not zero.
    """
    w, _, edge, operator, *_ = saved
    values, edges = to_host(raw(w)), to_host(raw(edge))
    slack = float(edges[0])
    used = [(to_host(raw(bar)) != 0.0).reshape((-1, len(values))).any(axis=0) for bar in bars if bar is not None]
    for other in edges[2:]:
        split = abs(values - other) <= slack
        if used:
            split = split & (sum(used) > 0)
        if split.any():
            j = split.argmax()
            raise ValueError(
                f"{operator.name}: no derivative: eigenvalue {j} of the {len(values)} found ({values[j]:.6g}) ties "
                "with one that is left out, so that the group is not unique; choose k so that the tied ones "
                "are all in or all out"
            )
    tied = abs(values[None, :] - values[:, None]) <= slack
    if tied.sum() > len(values) and any(has_derivative(x) for x in saved):
        raise NotImplementedError(
            f"{operator.name}: second order at tied eigenvalues within the group is not implemented ({values}); "
            "first order is"
        )
    below = raw(w)
    return namespace(below).asarray(tied, device=device(below))


def _alike(*arrays):
    return [lift(x) for x in arrays] if any(is_traced(x) for x in arrays) else arrays


def _systems(saved, b, like):
    """S(B)"""
    w, v, edge, operator, which, maxiter, _, *leaves = saved
    xp = namespace(like)
    c = xp.zeros((w.shape[0], w.shape[0]), dtype=like.dtype, device=device(like))
    norm = float(to_host(raw(edge))[1])
    args = _alike(b, c, w, v, *leaves)
    return bordered(*args, operator=operator, which=which, norm=norm, maxiter=maxiter)[0]


def _variation(saved, *dleaves):
    w, v, _, operator, _, _, gauge, *leaves = saved
    tied = _tied(saved)
    b = operator.push(leaves, dleaves, v)
    change = H(v) @ b
    if gauge == "raise":
        _gauge.check_direction(operator.name, w, tied, change, b)
    dv = v @ (_inverse_gaps(w, tied) * change) + _systems(saved, b, v)
    return real(namespace(change).linalg.diagonal(change)), dv, None


def _adjoint(saved, wbar, vbar, _):
    w, v, _, operator, _, _, gauge, *leaves = saved
    if wbar is None and vbar is None:
        return (None,) * len(leaves)
    tied = _tied(saved, wbar, vbar)
    core = None if vbar is None else H(v) @ vbar
    if gauge == "raise":
        nothing = namespace(v).zeros_like(tied, dtype=v.dtype) if core is None else core
        _gauge.check(operator.name, w, tied, nothing, nothing if vbar is None else vbar, wbar)
    if core is None:
        y = v * wbar[None, :]
    else:
        core = _inverse_gaps(w, tied) * core
        if wbar is not None:
            core = core + embed_diag(wbar)
        y = v @ core + _systems(saved, vbar, v)
    return tuple(operator.pull(leaves, y, v))


# bordered


def _bordered_forward(b, c, w, v, *leaves, operator, which, norm, maxiter):
    options = {"operator": operator, "which": which, "norm": norm, "maxiter": maxiter}
    if any(is_traced(x) for x in (b, c, w, v, *leaves)):
        z, u = bordered(b, c, w, v, *leaves, **options)
    else:
        xp = namespace(b)
        one = xp.ones_like(w)
        sign = one if which == "LA" else -one if which == "SA" else xp.where(w > 0.0, one, -one)
        z = deflated_solve(
            operator.name, operator.product(leaves), b, w, v, sign=sign, norm=norm, maxiter=maxiter
        )  # fmt: skip
        z = v @ c + z
        u = H(v) @ b - (w[None, :] - w[:, None]) * c
    return (z, u), (z, u, w, v, options, *leaves)


def _bordered_variation(saved, db, dc, dw, dv, *dleaves):
    z, u, w, v, options, *leaves = saved
    xp = namespace(z)
    b = xp.zeros_like(z) if db is None else db
    c = xp.zeros_like(u) if dc is None else dc
    if dw is not None:
        b = b - z * dw[None, :]
    if any(d is not None for d in dleaves):
        b = b + options["operator"].push(leaves, dleaves, z)
    if dv is not None:
        b = b - dv @ u
        c = c - H(dv) @ z
    return bordered(*_alike(b, c, w, v, *leaves), **options)


def _bordered_adjoint(saved, zbar, ubar):
    z, u, w, v, options, *leaves = saved
    xp = namespace(z)
    zbar = xp.zeros_like(z) if zbar is None else zbar
    ubar = xp.zeros_like(u) if ubar is None else ubar
    b, c = bordered(*_alike(zbar, ubar, w, v, *leaves), **options)
    wbar = -namespace(b, z).sum(real(conj(b) * z), axis=0)
    vbar = -(b @ H(u)) - z @ H(c)
    return b, c, wbar, vbar, *options["operator"].pull(leaves, b, z)


class Entries:
    """The operator whose leaf is the vector of stored entries on a pattern: the Hermitian part of that matrix."""

    def __init__(self, name, pattern):
        self.name, self.pattern, self.n = name, pattern, pattern.shape[0]

    def like(self, leaves):
        return leaves[0]

    def product(self, leaves):
        return binder(hermitian(leaves[0], self.pattern), self.pattern)

    def push(self, leaves, dleaves, x):
        ddata, x = _alike(hermitian(dleaves[0], self.pattern), x)
        return spmm(ddata, x, pattern=self.pattern)

    def pull(self, leaves, z, x):
        return (hermitian(sddmm(*_alike(z, x), pattern=self.pattern), self.pattern),)


eigsh = Op("eigsh", _forward, _variation, _adjoint)
bordered = Op("bordered", _bordered_forward, _bordered_variation, _bordered_adjoint)
