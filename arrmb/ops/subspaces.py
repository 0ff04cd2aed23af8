"""Principal angles between the column spaces of A (m × p) and B (m × q), and their projection distance.

Let q <= p (else A and B change places), A = Qa Ra and B = Qb Rb thin QRs, M = Qa^H Qb, E = (I - Π_A) Qb = Qb - Qa M.

    angles      M v_i = cos θ_i u_i,   E v_i = sin θ_i n_i,   i = 1 ... q, descending;   a_i = Qa u_i,  b_i = Qb v_i
                b_i = a_i cos θ_i + n_i sin θ_i,  n_i in the complement of col(A)
                a_i = b_i cos θ_i + ñ_i sin θ_i,  ñ_i = a_i sin θ_i - n_i cos θ_i in that of col(B)

A moves its column space by (I - Π_A) dA A⁺ and an angle shrinks as a_i moves towards b_i:

                dθ_i = -Re n_i^H dA g_i - Re ñ_i^H dB h_i,   g_i = A⁺ a_i = Ra^-1 u_i,   h_i = B⁺ b_i = Rb^-1 v_i
                Abar = -Σ θbar_i n_i g_i^H,                   Bbar = -Σ θbar_i ñ_i h_i^H

Nothing is divided by sin θ or cos θ, so small angles and those near π/2 lose no digits. For θ > π/4, u, v and cos θ are
those of the SVD of M, and n = E v / sin θ. For θ <= π/4, n, v and sin θ are those of an SVD of E (times the v of the
first SVD, with those for θ > π/4 told apart by a row each with the entry 2), and u = M v / cos θ.

    distance    J = ½ ‖Π_A - Π_B‖²_F = Σ sin² θ_i + ½ (p - q) = ‖E‖² + ½ (p - q)
                Abar = -2 E (Ra^-1 M)^H,   Bbar = -2 F (Rb^-1 M^H)^H,   F = (I - Π_B) Qa = Qa - Qb M^H

Source: Björck and Golub, "Numerical methods for computing angles between linear subspaces", Math. Comp. 27 (1973);
Knyazev and Argentati, "Principal angles between subspaces in an A-based scalar product" (2002), for small angles;
Golub and Pereyra (1973), lemma 4.1, for the change of a column space.
Domain: full column rank (checked where values can be looked at), real or complex, batched with broadcasting.

* distance: smooth, exact at any order.
* angles, distinct, strictly between 0 and π/2: smooth, exact to second order at least.
* angles, ties, first order: exact for a loss that is symmetric in the tied angles.
* angles of 0 or π/2, first order: θ has a kink there, as |x| has, and its derivative is taken as 0, the middle of its
  one-sided derivatives. That is exact for every loss that is differentiable there: Σ θ², Σ sin² θ, Σ cos θ. What is
  within rounding error, 10 max(p, q) eps, counts as 0 or π/2.
* angles, ties and kinks, second order: not defined by these rules, so NotImplementedError is raised where values can be
  looked at. If p + q > m, then p + q - m angles are always 0, and it is raised always.
"""

import math

from .._lapack import svd as _backend_svd
from .._threads import over_batch
from .._xp import H, conj, embed_diag, eps, namespace, on_host, raw, real
from ..tape.core import Op, lift
from .inverse import _solve
from .projector import project
from .qr import qr
from .svd import svdvals
from .tall_qr import tall_qr


def _bases(op, a, b):
    """Qa, Ra, Qb, Rb."""
    found = []
    for name, x in (("a", a), ("b", b)):
        xp = namespace(x)
        q, r = tall_qr(x)
        if on_host(x):
            if not bool(xp.all(xp.isfinite(r))):
                raise ValueError(f"{op}: argument {name} holds NaN or infinity")
            size = xp.sqrt(xp.sum(xp.abs(r / _largest(r)) ** 2, axis=-2)) * _largest(r)[..., 0, :]
            if bool(xp.any(xp.abs(xp.linalg.diagonal(r)) <= 10 * r.shape[-1] * eps(x) * size)):
                raise ValueError(
                    f"{op}: argument {name} must have full column rank, and has a column that is zero or a combination "
                    "of those before it; leave it out, or compare `projector` of both, which allows it"
                )
        found += [q, r]
    return found


def _largest(r):
    xp = namespace(r)
    size = xp.max(xp.abs(r), axis=-2, keepdims=True)
    return xp.where(size == 0.0, xp.ones_like(size), size)


# subspace_angles


def _tolerance(a, b):
    return 10 * max(a.shape[-1], b.shape[-1]) * eps(a)


def _angles_forward(a, b):
    xp = namespace(a, b)
    qa, ra, qb, rb = _bases("subspace_angles", a, b)
    swap = a.shape[-1] < b.shape[-1]
    if swap:
        qa, ra, qb, rb = qb, rb, qa, ra
    m = H(qa) @ qb
    e = qb - qa @ m
    u, c, vh = _backend_svd(m)
    u, c, v = xp.flip(u, axis=-1), xp.flip(c, axis=-1), xp.flip(H(vh), axis=-1)
    large = c * c < 0.5
    column = large[..., None, :]
    marks = embed_diag(xp.where(large, 2.0 * xp.ones_like(c), xp.zeros_like(c)))
    small = xp.concat([xp.where(column, 0.0, e @ v), xp.astype(marks, e.dtype)], axis=-2)
    n, s, wh = _backend_svd(small)

    v = xp.where(column, v, v @ H(wh))
    c, s = xp.where(large, c, 0.0), xp.where(large, 0.0, s)
    theta = xp.where(large, xp.acos(c), xp.asin(s))
    c, s = xp.where(large, c, xp.sqrt((1.0 - s) * (1.0 + s))), xp.where(large, xp.sqrt((1.0 - c) * (1.0 + c)), s)
    u = xp.where(column, u, (m @ v) / _safe(c, large))
    n = xp.where(column, (e @ v) / _safe(s, ~large), n[..., : e.shape[-2], :])

    tolerance = _tolerance(a, b)
    smooth = xp.astype((s > tolerance) & (c > tolerance), s.dtype)[..., None, :]
    c, s = c[..., None, :], s[..., None, :]
    other = smooth * (s * (qa @ u) - c * n)
    pairs = [(smooth * n, _solve(ra, u)), (other, _solve(rb, v))]
    return theta, tuple(x for pair in (reversed(pairs) if swap else pairs) for x in pair)


def _safe(x, unused):
    """Denominators, where those that are not used do no harm."""
    xp = namespace(x)
    return xp.where(unused, xp.ones_like(x), x)[..., None, :]


def _change(n, g, dx):
    return -namespace(dx).sum(real(conj(n) * (dx @ g)), axis=-2)


def _gradient(n, g, bar):
    return -((n * bar[..., None, :]) @ H(g))


def _angles_second_order(a, b):
    """The same in terms of smooth ops, for distinct angles strictly between 0 and π/2."""
    rows, p, q = a.shape[-2], a.shape[-1], b.shape[-1]
    theta = _angles_forward(raw(a), raw(b))[0]
    below = namespace(theta)
    if p + q > rows:
        raise NotImplementedError(_SECOND.format(f"{p + q - rows} of them are always 0, since {p} + {q} > {rows}"))
    if on_host(theta):
        edges = [below.zeros_like(theta[..., :1]), below.full_like(theta[..., :1], 0.5 * math.pi)]
        gaps = below.concat([edges[1], theta], axis=-1) - below.concat([theta, edges[0]], axis=-1)
        if bool(below.any(gaps <= _tolerance(raw(a), raw(b)))):
            raise NotImplementedError(_SECOND.format("two of them are equal, or one is 0 or π/2, to rounding error"))
    a, b = (lift(b), lift(a)) if p < q else (lift(a), lift(b))
    qa, qb = qr(a)[0], qr(b)[0]
    m = H(qa) @ qb
    e = qb - qa @ m
    xp = namespace(m)
    c, s = xp.flip(svdvals(m), axis=-1), svdvals(e)
    large = lift(below.cos(theta) ** 2 < 0.5)
    return xp.where(large, xp.acos(xp.where(large, c, 0.0)), xp.asin(xp.where(large, 0.0, s)))


_SECOND = (
    "subspace_angles: second derivatives are those of distinct angles strictly between 0 and π/2, but {}; "
    "subspace_distance has them everywhere"
)

subspace_angles = Op(
    "subspace_angles",
    *over_batch(
        _angles_forward,
        (lambda saved, da: _change(saved[0], saved[1], da), lambda saved, db: _change(saved[2], saved[3], db)),
        (lambda saved, bar: _gradient(saved[0], saved[1], bar), lambda saved, bar: _gradient(saved[2], saved[3], bar)),
        cost=10.0,
    ),
    _angles_second_order,
)


# subspace_distance


def _distance_forward(a, b):
    xp = namespace(a, b)
    qa, ra, qb, rb = _bases("subspace_distance", a, b)
    m = H(qa) @ qb
    e, f = qb - qa @ m, qa - qb @ H(m)
    p, q = a.shape[-1], b.shape[-1]
    outside = e if p >= q else f
    j = xp.sum(real(conj(outside) * outside), axis=(-2, -1), keepdims=True) + 0.5 * abs(p - q)
    return j[..., 0, 0], (e, _solve(ra, m), f, _solve(rb, H(m)))


def _distance_change(e, g, dx):
    return namespace(dx).sum(real(conj(-2.0 * e) * (dx @ g)), axis=(-2, -1))


def _distance_gradient(e, g, bar):
    return (e * (-2.0 * bar[..., None, None])) @ H(g)


def _distance_composite(a, b):
    a, b = (lift(b), lift(a)) if a.shape[-1] < b.shape[-1] else (lift(a), lift(b))
    qb = qr(b)[0]
    e = qb - project(a, qb)
    return namespace(e).sum(real(conj(e) * e), axis=(-2, -1)) + 0.5 * (a.shape[-1] - b.shape[-1])


subspace_distance = Op(
    "subspace_distance",
    *over_batch(
        _distance_forward,
        (
            lambda saved, da: _distance_change(saved[0], saved[1], da),
            lambda saved, db: _distance_change(saved[2], saved[3], db),
        ),
        (
            lambda saved, bar: _distance_gradient(saved[0], saved[1], bar),
            lambda saved, bar: _distance_gradient(saved[2], saved[3], bar),
        ),
        cost=10.0,
    ),
    _distance_composite,
)
