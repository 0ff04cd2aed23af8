"""Linear matrix equations: Sylvester's and Lyapunov's."""

from .._xp import H, namespace
from ..ops import solve_sylvester as _ops
from . import _check

__all__ = ["solve_lyapunov", "solve_sylvester"]

_SINGULAR = "is outside the domain: the equation is singular, {}; add a multiple of the identity to a"
_SYLVESTER = _SINGULAR.format("an eigenvalue of a being minus one of b")
_LYAPUNOV = _SINGULAR.format("an eigenvalue of a being minus the conjugate of one")


def solve_sylvester(a, b, c, /):
    """Solution of the Sylvester equation, ``a @ x + x @ b = c``.

    Parameters
    ----------
    a : array, shape (..., m, m)
    b : array, shape (..., n, n)
        No eigenvalue of ``a`` is minus an eigenvalue of ``b``.
    c : array, shape (..., m, n)
        Leading axes broadcast.

    Returns
    -------
    array, shape (..., m, n)

    Raises
    ------
    TypeError
        An argument is not a floating-point array, or the arguments belong to different backends.
    ValueError
        Shapes do not fit; or (on a CPU) the equation is singular, or so near to it that no digit of the solution, in
        norm, is sure to be right. A GPU gives NaN.

    Notes
    -----
    Smooth; derivatives exact at any order. The residual is of rounding size. With ``m * n`` up to 64 one system of
    ``m * n`` unknowns is solved; beyond, LAPACK's solver by Schur forms on the host, if SciPy is there. Without (on a
    GPU, for instance) the one system is solved up to ``m * n = 1024``; beyond, the eigenvalues of ``a`` and ``b`` must
    all lie in one open half plane, left or right, as those of a stable Lyapunov equation do. Whether the equation
    counts as singular is judged by norms: badly graded matrices, such as ``a = b = diag(1e15, 1)``, may be refused
    although single entries of the solution are well determined. Source: `arrmb.ops.solve_sylvester`.
    """
    return _solve("solve_sylvester", a, b, c)


def solve_lyapunov(a, c, /):
    """Solution of the continuous Lyapunov equation, ``a @ x + x @ a^H = c``.

    Parameters
    ----------
    a : array, shape (..., n, n)
        No two eigenvalues (nor one twice) have λ + conj(μ) = 0: a stable matrix, for instance, all eigenvalues in the
        open left half plane.
    c : array, shape (..., n, n)
        Leading axes broadcast.

    Returns
    -------
    array, shape (..., n, n)
        Hermitian, up to rounding, where ``c`` is.

    Raises
    ------
    TypeError, ValueError
        As `solve_sylvester`.

    Notes
    -----
    The sign is that of ``scipy.linalg.solve_continuous_lyapunov``. Smooth; derivatives exact at any order, and what is
    said of the ways to the solution in `solve_sylvester` holds. Source: `arrmb.ops.solve_sylvester`.
    """
    _check.matrix("solve_lyapunov", "a", a, square=True)
    return _solve("solve_lyapunov", a, None, c)


def _solve(op, a, b, c):
    named = {"a": a, "c": c} if b is None else {"a": a, "b": b, "c": c}
    for name, x in named.items():
        _check.matrix(op, name, x, square=name != "c")
    _check.same_backend(op, **named)
    xp = namespace(*named.values())
    m, n = a.shape[-1], (a if b is None else b).shape[-1]
    if tuple(c.shape[-2:]) != (m, n):
        sizes = f"a (..., {m}, {m})" + ("" if b is None else f" and b (..., {n}, {n})")
        raise ValueError(f"{op}: c must have shape (..., {m}, {n}) for {sizes}, got {tuple(c.shape)}")
    dtype = xp.result_type(*named.values())
    a, b, c = (x if x is None or x.dtype == dtype else xp.astype(x, dtype) for x in (a, b, c))
    name, why = ("a", _LYAPUNOV) if b is None else ("a or b", _SYLVESTER)
    with _check.backend_errors(op, name, why):
        return _ops.sylvester(a, H(a) if b is None else b, c, name=op)
