"""Square roots of Hermitian positive definite matrices by products of matrices, without an eigendecomposition."""

from typing import Any, NamedTuple

from .._tf32 import PRECISIONS
from .._xp import eps, eye_like, namespace, on_host, raw
from ..ops.newton_schulz import Diverged, chosen
from ..ops.newton_schulz import newton_schulz as _newton_schulz
from ..ops.pade_sqrt import pade_root as _pade_root
from ..ops.sign_iteration import sign_root as _sign_root
from . import _check

__all__ = ["square_roots"]

_METHODS = {  # op, default number of iterations: √n times the condition number up to 1e9
    "newton-schulz": (_newton_schulz, 30),
    "sign": (_sign_root, 18),
    "pade": (_pade_root, 7),
}


class SquareRootsResult(NamedTuple):
    """``root @ root = x`` and ``inverse = root^-1``."""

    root: Any
    inverse: Any


def square_roots(x, /, *, method="newton-schulz", iterations=None, precision=None):
    """Square root and inverse square root of Hermitian positive definite matrices, by products of matrices.

    One iteration gives both. For one of them alone `sqrtmh` and `invsqrtmh` take the same three keywords.

    Parameters
    ----------
    x : array, shape (..., n, n)
        Real or complex, positive definite; the Hermitian part is used.
    method : {"newton-schulz", "sign", "pade"}
        How: see Notes.
    iterations : int, optional
        How many steps, at least 1. Default: 30, 18, and 7 in the order of the methods, which is enough for
        ``‖x‖_F / λ_min`` (at most √n times the condition number) up to 1e9. Each step takes as long as any other.
    precision : {None, "tf32", "tf32x3"}, optional
        A permission to multiply float32 and complex64 matrices on a GPU's tensor cores (CuPy, PyTorch from 2.9 on,
        JAX), with "newton-schulz" and "sign", forward and backward: in TF32, which has three digits ("tf32"), or by
        three such products in the place of one, for about float32's accuracy ("tf32x3"). Elsewhere, and with None,
        products are the backend's own. Not measured on a GPU so far.

    Returns
    -------
    SquareRootsResult
        ``root`` and ``inverse``, shape (..., n, n), Hermitian, of the dtype and device of ``x``.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array, or ``iterations`` is not an integer.
    ValueError
        ``x`` is not square, ``method``, ``iterations`` or ``precision`` is none that there is, or (on a CPU) the
        iteration has not converged: ``x`` is not positive definite, or its condition number is too large.
        "newton-schulz" with ``iterations`` given does not raise for that: see below.

    Notes
    -----
    * "newton-schulz": the coupled iteration of iSQRT-COV. 3 products a step, 6 backward. Derivatives are those of the
      map of so many steps, whether it has converged or not: few steps are a normalisation of their own, as in Li et al.
    * "sign": the same with scaled steps, of which half as many are needed; the backward pass solves a Lyapunov
      equation, with 4 products a step. Derivatives are those of the square root.
    * "pade": a Padé approximant, applied again to what is left; 4 inverses and 3 products a step. Derivatives as for
      "sign".

    All are exact at any order and whatever the multiplicities. Rounding errors grow with the condition number κ, like
    eps √κ in the root and up to eps κ in the inverse and the gradients; ``docs/square_roots.md`` has measured figures,
    and what to choose when. Source: `arrmb.ops.newton_schulz`, `sign_iteration`, `pade_sqrt`.

    With ``precision="tf32"`` eps is 2^-11: at κ = 100 the root has an error of 1e-3, the gradient of 4e-3, and at 1e4
    of 5e-3 and 0.03 ("sign") to 0.1 ("newton-schulz"). With "tf32x3", in simulations of tensor cores with matrices
    128 × 128, errors are up to twice those of float32; if sums are cut off in place of rounded, those of
    "newton-schulz" up to 20 times. The second and higher derivatives of "newton-schulz" are the backend's own products.
    While a product runs on PyTorch, those of other threads take TF32 too.
    """
    return SquareRootsResult(*by_products("square_roots", x, method, iterations, precision))


def by_products(name, x, method, iterations, precision, only=None):
    """Root and inverse root, or ``only`` "root" or "inverse", for the function called ``name``."""
    _check.matrix(name, "x", x, square=True)
    if method not in _METHODS:
        known = ", ".join(f'"{m}"' for m in _METHODS)
        raise ValueError(f"{name}: method must be one of {known}{_OR_EIGH[name != 'square_roots']}, got {method!r}")
    op, steps = _METHODS[method]
    if iterations is not None:
        steps = _check.number(name, "iterations", iterations, integer=True)
        if steps < 1:
            raise ValueError(f"{name}: iterations must be at least 1, got {steps}")
    options = {"iterations": steps}
    if precision is not None:
        if precision not in PRECISIONS or op is _pade_root:
            raise ValueError(
                f'{name}: precision must be None, or "tf32" or "tf32x3" with method "newton-schulz" or "sign", '
                f"got {precision!r} with {method!r}"
            )
        options["precision"] = precision
    if x.shape[-1] == 0:
        return x + 0.0 if only else (x + 0.0, x + 0.0)
    try:
        with _check.backend_errors(name, "x", _check.DIVERGED):
            if op is _newton_schulz and iterations is not None:  # a map of its own: it need not converge
                return op(x, **options, only=only)
            root, inverse = op(x, **options)
    except Diverged as error:
        raise ValueError(f"{name}: argument x must be positive definite: {error}; {_REMEDY}") from None
    if on_host(x):
        _must_have_converged(name, raw(root), raw(inverse), method, steps)
    return chosen(only, root, inverse)


_OR_EIGH = ("", ', or "eigh"')
_REMEDY = (
    "add a multiple of the identity, give more iterations, or use an eigendecomposition (the default of sqrtmh and "
    "invsqrtmh)"
)


def _must_have_converged(name, root, inverse, method, steps):
    """Raise where ‖I - W S‖ is more than what rounding X does to W: eps κ, with κ <= (‖S‖‖W‖)²."""
    xp = namespace(root)
    norm = xp.linalg.matrix_norm
    residual = norm(eye_like(root) - inverse @ root)
    rounding = 4.0 * eps(root) * (norm(root) * norm(inverse)) ** 2
    bad = ~((residual <= rounding) & (residual < 0.1))  # NaN is bad
    if bool(xp.any(bad)):
        raise ValueError(
            f"{name}: argument x must be positive definite, with a condition number that {steps} iterations of "
            f'"{method}" resolve, but they leave a relative residual of '
            f"{float(xp.max(xp.where(bad, residual, 0.0))):.3g} in the square root; {_REMEDY}"
        )
