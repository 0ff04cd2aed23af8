"""Krylov solvers for a Hermitian operator that is known by its products: extremal eigenpairs, and deflated systems.

A helper of `eigsh.py`, not an op: raw arrays only, and the seam to ARPACK and LOBPCG. `product` maps X (n, p) to A X.

* Eigenpairs: `scipy.sparse.linalg.eigsh` (ARPACK) and `lobpcg`; for CuPy arrays their namesakes in
  `cupyx.scipy.sparse.linalg`, all on the GPU; for other backends SciPy's on the host, with the products where the
  arrays are and one copy of a vector there and back for each. The operator is scaled to about unit norm, so that
  absolute and relative tolerances mean the same. The vectors are orthonormalized, and a Rayleigh-Ritz step puts the
  values in ascending order.
* A single-vector Krylov method can miss copies of a multiple eigenvalue, and says nothing about the rest of the
  spectrum. So the extreme eigenvalue of the complement is computed too, to a tenth of its distance from those found.
  If it is better than one of them, its vector is taken in.
* Systems with w_j I - A on the complement of the eigenvectors: conjugate gradients for all columns at once. The
  operator is definite there, as the eigenvalues are extremal. A column is done when its residual is the rounding error
  of a product, eps (‖A‖ ‖z‖ + ‖b‖).

Source: Lehoucq, Sorensen, Yang, "ARPACK Users' Guide" (1998); Knyazev, "Toward the optimal preconditioned eigensolver"
(SIAM J. Sci. Comput. 23, 2001); Hestenes, Stiefel, "Methods of conjugate gradients for solving linear systems" (1952).
"""

import inspect
import math
import warnings

import numpy as np

from .._lapack import to_host
from .._xp import H, conj, device, eps, is_complex, namespace, real, sym


def extremal(op, product, like, n, k, *, which, method, tol, v0, maxiter):
    """Eigenpairs (w, V), and ``edge``: the tie tolerance, the norm, and the extreme eigenvalues of the complement.

    ``like`` is an array with the dtype, backend and device of the vectors; ``edge`` is an array like ``w``.
    """
    xp = namespace(like)
    norm = _norm(product, like, n)
    if not math.isfinite(norm):
        raise ValueError(f"{op}: products with the matrix have NaN or inf: check its entries")
    if norm == 0.0:
        raise ValueError(f"{op}: the matrix is zero: every vector is an eigenvector, and none is extremal")

    def scaled(x):
        return product(x) / norm

    unit = eps(like)
    if method == "lobpcg":
        tol = max(tol, 1e-10, 50.0 * unit)  # what it reaches
        v = _lobpcg(op, scaled, like, n, k, which, tol, v0, maxiter)
    else:
        v = _lanczos(op, scaled, like, n, k, which, tol, v0, maxiter)
    again = [5, 6, 7] if method == "arpack" else []  # at multiple eigenvalues it stops early from some starts
    for _ in range(k + 4):
        w, v, residual = _ritz(scaled, v)
        if not residual <= max(10.0 * tol, 1e4 * unit):  # NaN too
            if again and math.isfinite(residual):
                v = _lanczos(op, scaled, like, n, k, which, tol, start(like, n, 1, again.pop())[:, 0], maxiter)
                continue
            raise ValueError(
                f"{op}: method {method!r} did not converge: the residual ‖A v - w v‖ is {residual:.1e} ‖A‖; raise "
                f"maxiter ({maxiter}) or tol ({tol:.1e}), or use the other method"
            )
        slack = 2.0 * residual + 16.0 * unit
        others, missed = [], None
        for sign, limit in _ends(w, which):
            rest = _deflated(scaled, v, sign, limit)
            beyond, u = _roughly(op, rest, like, n, slack, maxiter)
            others.append(limit + sign * beyond)
            if beyond > slack:
                missed = _lanczos(op, rest, like, n, 1, "LA", tol, u, maxiter)
        if missed is None:
            edge = xp.asarray([slack * norm, norm] + [t * norm for t in others], dtype=w.dtype, device=device(w))
            return w * norm, v, edge
        w, v, _ = _ritz(scaled, xp.concat([v, missed], axis=1))
        v = v[:, 1:] if which == "LA" else v[:, :-1] if which == "SA" else _without(v, _smallest(w))
    raise ValueError(f"{op}: method {method!r} misses eigenvalues again and again: try another v0, or the other method")


def _roughly(op, rest, like, n, slack, maxiter):
    """The largest eigenvalue of ``rest``, to a tenth of its size or to ``slack``, and its vector (n,)."""
    xp = namespace(like)
    # Not the start of V: that has no part in what is left of the space of a multiple eigenvalue.
    first = start(like, n, 1, seed=1)
    first = x = first / xp.sqrt(xp.sum(real(conj(first) * first)))
    for tol in (1e-3, 1e-6, 1e-9, 0.0):
        u = _lanczos(op, rest, like, n, 1, "LA", max(tol, eps(like)), x[:, 0], maxiter)
        image = rest(u)
        value = float(real(xp.sum(conj(u) * image)))
        off = image - value * u
        error = float(xp.sqrt(xp.sum(real(conj(off) * off))))
        if error <= max(0.1 * abs(value), slack):
            return value, u[:, 0]
        x = first + u
    if error <= eps(like) ** 0.5:  # at a multiple eigenvalue ARPACK may stop here; the value has twice the digits
        return value, u[:, 0]
    raise ValueError(
        f"{op}: the next eigenvalue, by which those found are checked, did not converge: its residual is {error:.1e} "
        f"‖A‖; raise maxiter ({maxiter})"
    )


def _ends(w, which):
    """Where the complement may have better eigenvalues: beyond ``limit`` in the direction ``sign``."""
    w = to_host(w)
    if which == "LM":
        limit = float(np.min(np.abs(w)))
        return (1.0, limit), (-1.0, -limit)
    return ((1.0, float(w[0])),) if which == "LA" else ((-1.0, float(w[-1])),)


def _smallest(w):
    return int(np.argmin(np.abs(to_host(w))))


def _without(v, j):
    return namespace(v).concat([v[:, :j], v[:, j + 1 :]], axis=1)


def _off(v, x):
    """(I - V V^H) x"""
    return x - v @ (H(v) @ x)


def _deflated(product, v, sign, limit):
    """sign (A - limit) on the complement, and -8, beyond its spectrum, on V."""

    def rest(x):
        q = _off(v, x)
        return sign * (_off(v, product(q)) - limit * q) - 8.0 * (x - q)

    return rest


def _ritz(product, v):
    """Rayleigh-Ritz on the span of V: ascending values, orthonormal vectors, and the largest residual."""
    xp = namespace(v)
    v, _ = xp.linalg.qr(v)
    w, u = xp.linalg.eigh(sym(H(v) @ product(v)))
    v = v @ u
    r = product(v) - v * w[None, :]
    return w, v, float(xp.max(xp.sqrt(xp.sum(real(conj(r) * r), axis=0))))


def _norm(product, like, n):
    """‖A‖, from below and to a small factor: six steps of the power method."""
    xp = namespace(like)
    x = start(like, n, 1, seed=2)
    size = 0.0
    for _ in range(6):
        x = product(x / xp.sqrt(xp.sum(real(conj(x) * x))))
        size = float(xp.sqrt(xp.sum(real(conj(x) * x))))
        if size == 0.0 or not math.isfinite(size):
            break
    return size


def start(like, n, p, seed=0):
    """The same pseudo-random (n, p) at each call."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p))
    if is_complex(like):
        x = x + 1j * rng.standard_normal((n, p))
    return from_host(x, like)


# ---------------------------------------------------------------------------------------------- ARPACK and LOBPCG


def _is_cupy(x):
    return namespace(x).__name__ == "array_api_compat.cupy"


def from_host(x, like):
    """The NumPy array ``x`` with the dtype, backend and device of ``like``."""
    return namespace(like).asarray(x, dtype=like.dtype, device=device(like))


def _solvers(op, like):
    """The module with ``eigsh``, ``lobpcg``, ``LinearOperator``; and the maps to and from its arrays."""
    if _is_cupy(like):
        import cupyx.scipy.sparse.linalg as module

        return module, lambda x: x, lambda x: x
    try:
        import scipy.sparse.linalg as module
    except ImportError:
        raise ImportError(f"{op}: needs SciPy: pip install 'arrmb[scipy]'") from None
    if isinstance(like, np.ndarray):
        return module, lambda x: x, lambda x: x
    return module, to_host, lambda x: from_host(x, like)


def _lanczos(op, product, like, n, k, which, tol, v0, maxiter):
    module, there, back = _solvers(op, like)
    v0 = start(like, n, 1)[:, 0] if v0 is None else v0
    v0 = there(namespace(like).asarray(v0, copy=True))  # CuPy's writes to it

    # ARPACK can miss an eigenvalue near zero, of which its relative tolerance asks too much: none is wanted there.
    shift = {"LA": 2.0, "SA": -2.0, "LM": 0.0}[which]

    def product_of_vector(x):
        x = back(x.reshape((n, 1)))
        return there(product(x) + shift * x)[:, 0]

    operator = module.LinearOperator((n, n), matvec=product_of_vector, dtype=v0.dtype)
    ncv = min(n - 1, max(2 * k + 1, 40))
    if _is_cupy(like):  # here tol is absolute, maxiter counts products, and what has not converged is returned
        return module.eigsh(operator, k, which=which, v0=v0, ncv=ncv, tol=tol, maxiter=maxiter)[1]
    try:
        restarts = max(1, maxiter // max(1, ncv - k))
        solve, options = module.eigsh, {}
        if is_complex(like):  # what eigsh does as well, but for the rng
            solve, which = module.eigs, {"LA": "LR", "SA": "SR", "LM": "LM"}[which]
        if "rng" in inspect.signature(solve).parameters:  # since SciPy 1.17
            options["rng"] = 0
        return back(solve(operator, k, which=which, v0=v0, ncv=ncv, tol=tol, maxiter=restarts, **options)[1])
    except module.ArpackError as error:
        raise ValueError(
            f"{op}: ARPACK failed ({error}); raise maxiter ({maxiter}) or tol ({tol:.1e}), or use method='lobpcg'"
        ) from error


def _lobpcg(op, product, like, n, k, which, tol, v0, maxiter):
    module, there, back = _solvers(op, like)
    x = there(start(like, n, k) if v0 is None else namespace(like).asarray(v0, copy=True))

    def wrapped(x):
        return there(product(back(x.reshape((n, -1)))))

    operator = module.LinearOperator((n, n), matvec=wrapped, matmat=wrapped, dtype=x.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of accuracies not reached: the residual is looked at afterwards
        return back(module.lobpcg(operator, x, tol=tol, maxiter=maxiter, largest=which == "LA")[1])


# -------------------------------------------------------------------------------------------------- deflated systems


def deflated_solve(op, product, b, w, v, *, sign, norm, maxiter):
    """Z with (w_j I - A) z_j = (I - V V^H) b_j and V^H Z = 0; ``sign`` (k,): each is positive or negative definite."""
    xp = namespace(b)
    unit = eps(b)
    row = xp.ones((1, b.shape[0]), dtype=w.dtype, device=device(b))

    def dot(x, y):
        return (row @ real(conj(x) * y))[0, :]  # a sum over rows of a few columns is slow on the host

    def apply(z):
        return z * w[None, :] - product(z)

    r = _off(v, _off(v, b))
    size_b = xp.sqrt(dot(b, b))
    z, p, rr = xp.zeros_like(r), r, dot(r, r)
    for step in range(maxiter + 1):
        if step % 8 == 0:  # how often a device is waited for
            active = xp.sqrt(rr) > unit * (norm * xp.sqrt(dot(z, z)) + size_b)
            if not bool(xp.any(active)):
                break
        ap = apply(p)
        curvature = dot(p, ap)
        active = active & (rr > 0.0)
        singular = active & ~(sign * curvature > 0.0)
        if step % 8 == 7 and bool(xp.any(singular)):
            raise ValueError(
                f"{op}: the system of eigenvalue {int(xp.argmax(xp.astype(singular, w.dtype)))} is singular: one of "
                "the group ties with one outside, or the vectors have not converged; choose k so that no tie is split"
            )
        active = active & ~singular
        alpha = xp.where(active, rr / xp.where(active, curvature, xp.ones_like(rr)), xp.zeros_like(rr))
        z = z + p * alpha[None, :]
        r = _off(v, r - ap * alpha[None, :])  # without it rounding errors along V would grow
        new = dot(r, r)
        beta = xp.where(active, new / xp.where(active, rr, xp.ones_like(rr)), xp.zeros_like(rr))
        p = r + p * beta[None, :]
        rr = new
    z = _off(v, z)
    r = _off(v, b - apply(z))
    error = xp.sqrt(dot(r, r)) / (norm * xp.sqrt(dot(z, z)) + size_b + xp.astype(size_b == 0.0, w.dtype))
    worst = float(xp.max(error))
    if not worst <= 1e4 * unit:
        raise ValueError(
            f"{op}: the linear system of the derivative did not converge in {maxiter} steps: its relative residual is "
            f"{worst:.1e}; raise maxiter, or choose k so that the gap to the next eigenvalue is larger"
        )
    return z
