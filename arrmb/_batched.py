"""LAPACK on batches of NumPy matrices: in the precision of the array, and on several threads.

`numpy.linalg` computes float32 in double precision, which takes up to twice the time. The loops below it take both
precisions and let other threads run. They are not public: where one is missing, `numpy.linalg` itself is called.
"""

import functools

import numpy as np

from ._threads import axis_of, joined, of_shares


def eigh(x):
    """Eigenvalues, ascending, and eigenvectors of Hermitian matrices (..., n, n), by their lower triangles."""
    public, error = np.linalg.eigh, "Eigenvalues did not converge"
    return _call("eigh_lo", "{t}->{r}{t}", x, public, error, work=10.0 * x.shape[-1] ** 3)


def svd(x):
    """The thin singular value decomposition U, s, V^H of matrices (..., m, n)."""
    public, error = functools.partial(np.linalg.svd, full_matrices=False), "SVD did not converge"
    name = "svd_s" if hasattr(_loops(), "svd_s") else "svd_m_s" if x.shape[-2] < x.shape[-1] else "svd_n_s"
    return _call(name, "{t}->{t}{r}{t}", x, public, error, work=10.0 * x.shape[-2] * x.shape[-1] * min(x.shape[-2:]))


def cholesky(x):
    """The lower triangular factor of positive definite matrices (..., n, n), by their lower triangles."""
    public, error = np.linalg.cholesky, "Matrix is not positive definite"
    return _call("cholesky_lo", "{t}->{t}", x, public, error, work=x.shape[-1] ** 3 / 3)


def _loops():
    return getattr(np.linalg, "_umath_linalg", None)


def _call(name, signature, x, public, error, work):
    """``work`` is about the number of multiplications for one matrix."""
    loop, kind = getattr(_loops(), name, None), x.dtype.char
    if loop is None or 0 in x.shape or kind not in "fdFD":
        return public(x)
    signature = signature.format(t=kind, r=kind.lower())

    def fail(*_):
        raise np.linalg.LinAlgError(error)

    def run(part):  # a loop reports by the flag of an invalid operation, as it does to `numpy.linalg`
        with np.errstate(call=fail, invalid="call", over="ignore", divide="ignore", under="ignore"):
            return loop(part, signature=signature)

    parts = of_shares(run, (x,), (x,), work * x[..., 0, 0].size)
    return run(x) if parts is None else joined(parts, axis_of(x))
