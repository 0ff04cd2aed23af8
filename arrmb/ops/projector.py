"""Orthogonal projector on the column space of A, Π = A A⁺; its product with B; the distance of column spaces.

Let X be any inverse of A with A X = Π (A⁺ is one). Where the rank is constant, Π A = A gives (I - Π) dA = dΠ A, so with
N = (I - Π) dA X, N = dΠ Π, and dΠ Π + Π dΠ = dΠ = N + N^H:

    projector   dΠ = N + N^H                 <Πbar, dΠ> = <2 (I - Π) Πbar_sym X^H, dA>
    project     Y = Π B, E = B - Y           dY = (I - Π) dA (X B) + X^H dA^H E + Π dB          since Π X^H = X^H
                Abar = (I - Π) Ybar (X B)^H + E (X Ybar)^H,   Bbar = Π Ybar
    distance    J = ½ rank A + ½ ‖B‖² - Re<B, Π B>       ( = ½ ‖Π - B B^H‖² for orthonormal or zero columns of B)
                dJ = Re<-2 E (X B)^H, dA> + Re<E - Y, dB>

Factors. A = QR, thin; R = R' S with S diagonal, the largest entry of each column of R' being 1; R' = U s V^H, of which
the singular values above 10 k eps s_max count (k = min(m, n)) and the others are cut off. Then

    Π = Q C Q^H,  C = U_kept U_kept^H             X^H = Q G,  G = U s⁺ V^H S^-1

Where ‖R'‖_F ‖R'^-1‖_F shows that all are kept, C = I and G = R'^-H S^-1 take a fraction of the time.

Nothing m × m is formed except Π itself, and the cost beyond one thin QR is a few products with m × n matrices; the
distance needs Q^H B and Q C Q^H B only, and where B has few columns SciPy's LAPACK does without Q. Scaling
the columns changes no column space, and keeps the unit of a feature channel from having a say in the rank. Rounding
leaves at most 7 eps s_max of dependent columns (measured, float32, 154401 rows of 64 and a million of 16).

Source: Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables
separate", SIAM J. Numer. Anal. 10 (1973), lemma 4.1; Ionescu, Vantzos, Sminchisescu (2015) for the use in a layer.
Domain: any shape, real or complex, batched. Dead (zero) and dependent columns are left out: all stays finite, and the
derivative is that along which the rank does not change. Π jumps where the rank changes, and no derivative exists there.
Exact at any order: second and higher orders run on A and its inverse X = A⁺, an op (`pinv.py`) whose rule is smooth in
A and X, so ties of singular values do not matter.
"""

from .._lapack import hermitian_square, solve_triangle, times_twice_sym
from .._lapack import svd as _backend_svd
from .._threads import over_batch
from .._xp import H, conj, diag_part, eps, eye_like, namespace, on_host, raw, real, sym
from ..tape.core import Op, lift
from .pinv import pinv
from .tall_qr import tall_qr, tall_qr_multiply


def _factors(a):
    """Q, C (None: the identity) and G of the docstring, and the size of each column. Raw arrays."""
    q, r = tall_qr(a)
    return q, *_of_triangle(r)


def _of_triangle(r):
    """C (None: the identity), G, and the size of each column."""
    xp = namespace(r)
    size = xp.max(xp.abs(r), axis=-2, keepdims=True)
    size = xp.where(size == 0.0, xp.ones_like(size), size)
    r = r / size
    cutoff = 10 * min(r.shape[-2:]) * eps(r)
    inverse = _inverse(r, cutoff)
    if inverse is not None:
        return None, H(inverse) / size, size
    u, s, vh = _backend_svd(r)
    kept = s > cutoff * s[..., :1]  # the largest comes first
    s = xp.where(kept, s, xp.ones_like(s))
    u = u * xp.astype(kept, s.dtype)[..., None, :]
    return u @ H(u), (u / s[..., None, :]) @ (vh / size), size


def _inverse(r, cutoff):
    """R'^-1 if it is seen, without their computation, that no singular value of a matrix is below the cutoff, or None.

    s_min >= 1/‖R'^-1‖_F and s_max <= ‖R'‖_F. Looks at values.
    """
    if r.shape[-2] != r.shape[-1] or 0 in r.shape or not on_host(r):
        return None
    xp = namespace(r)
    diagonal = xp.abs(diag_part(r))
    if not bool(xp.all(diagonal > cutoff)):  # the largest entry of each column is 1; NaN goes this way too
        return None
    inverse = solve_triangle(r, xp.broadcast_to(eye_like(r), r.shape), lower=False, unit_diagonal=False)
    condition = xp.linalg.matrix_norm(r) * xp.linalg.matrix_norm(inverse)
    return inverse if bool(xp.all(condition * cutoff < 1.0)) else None


def _dot(a, b):
    """Re<a, b> per matrix."""
    return namespace(a, b).sum(real(conj(a) * b), axis=(-2, -1))


# projector


def _projector_forward(a):
    q, c, g, _ = _factors(a)
    return hermitian_square(q) if c is None else sym((q @ c) @ H(q)), (q, c, g)


def _kept(c, x):
    """C x"""
    return x if c is None else c @ x


def _off(q, c, x):
    """(I - Π) x"""
    return x - q @ _kept(c, H(q) @ x)


def _projector_variation(saved, da):
    q, c, g = saved
    n = _off(q, c, da @ H(g)) @ H(q)
    return n + H(n)


def _projector_adjoint(saved, pbar):
    q, c, g = saved
    return _off(q, c, times_twice_sym(pbar, q @ g))


# project


def _project_forward(a, b):
    q, c, g, _ = _factors(a)
    p = H(q) @ b
    y = q @ _kept(c, p)
    return y, (q, c, g, H(g) @ p, b - y)


def _project_da(saved, da):
    q, c, g, xb, e = saved
    return _off(q, c, da @ xb) + q @ (g @ (H(da) @ e))


def _project_db(saved, db):
    q, c, *_ = saved
    return q @ _kept(c, H(q) @ db)


def _project_abar(saved, ybar):
    q, c, g, xb, e = saved
    z = H(q) @ ybar
    return (ybar - q @ _kept(c, z)) @ H(xb) + e @ (H(z) @ g)


_project_bbar = _project_db  # Π is Hermitian


# distance


def _distance_forward(a, b):
    r, p, times_q = tall_qr_multiply(a, b)
    c, g, _ = _of_triangle(r)
    cp = _kept(c, p)
    e = b - times_q(cp)
    rank = r.shape[-2] if c is None else namespace(c).sum(real(namespace(c).linalg.diagonal(c)), axis=-1)
    j = 0.5 * (rank + _dot(b, b)) - _dot(p, cp)
    return namespace(j).astype(j, real(e).dtype), (b, H(g) @ p, e)  # NumPy 1 widens scalars


def _distance_da(saved, da):
    _, xb, e = saved
    return _dot(e, (-2.0 * da) @ xb)


def _distance_db(saved, db):
    b, _, e = saved
    return _dot(2.0 * e - b, db)  # E - Y = 2E - B


def _distance_abar(saved, jbar):
    _, xb, e = saved
    return e @ (H(xb) * (-2.0 * jbar[..., None, None]))


def _distance_bbar(saved, jbar):
    b, _, e = saved
    return (2.0 * e - b) * jbar[..., None, None]


# Second and higher orders: Π = A X


def _with_inverse(a):
    """A with its columns scaled, and X = A⁺ of that."""
    size = _factors(raw(a))[3]
    a = lift(a) / lift(size)
    return a, lift(pinv(a, rtol=10 * min(a.shape[-2:]) * eps(size)))


def _projector_composite(a):
    a, x = _with_inverse(a)
    return sym(a @ x)


def _project_composite(a, b):
    a, x = _with_inverse(a)
    return a @ (x @ lift(b))


def _distance_composite(a, b):
    a, x = _with_inverse(a)
    b = lift(b)
    rank = _dot(H(x), a)  # tr(A X)
    return 0.5 * (rank + _dot(b, b)) - _dot(b, a @ (x @ b))


projector = Op(
    "projector",
    *over_batch(_projector_forward, _projector_variation, _projector_adjoint, cost=4.0),
    _projector_composite,
)
project = Op(
    "project",
    *over_batch(_project_forward, (_project_da, _project_db), (_project_abar, _project_bbar), cost=4.0),
    _project_composite,
)
distance = Op(
    "distance",
    *over_batch(_distance_forward, (_distance_da, _distance_db), (_distance_abar, _distance_bbar), cost=0.5),
    _distance_composite,
)
