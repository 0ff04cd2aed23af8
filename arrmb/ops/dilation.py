"""The Hermitian matrix A = [[0, X], [X^H, 0]] of X (m, n), and its functions. A helper, not an op.

    X = U diag(s) V^H  =>  A [U; ±V] = ±[U; V] diag(s), and A is 0 on what is orthogonal to these

So A has the eigenvalues ±s and |m - n| zeros, an odd function of it has the block U f(s) V^H in the place of X, and
what `spectral` knows of Hermitian matrices at ties holds for singular values.

Source: Golub and Van Loan, "Matrix Computations" (4th ed., 2013), 8.6.1.
"""

from .._xp import H, device, namespace
from . import spectral as _spectral


def dilation(x):
    """A, of shape (..., m + n, m + n)."""
    xp = namespace(x)
    m, n = x.shape[-2:]
    zeros = [xp.zeros((*x.shape[:-2], k, k), dtype=x.dtype, device=device(x)) for k in (m, n)]
    return xp.concat(
        [xp.concat([zeros[0], x], axis=-1), xp.concat([H(x), zeros[1]], axis=-1)],
        axis=-2,
    )


def odd_function(x, kernel):
    """U f(s) V^H for the odd function f of ``kernel``: a block of `spectral` at A."""
    m = x.shape[-2]
    return _spectral.spectral(dilation(x), kernel=kernel)[..., :m, m:]
