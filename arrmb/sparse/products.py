"""Products of a sparse matrix, and inner products at its stored places."""

from ..linalg._check import floating, same_backend
from ..ops import spmm as _spmm
from ..ops.spmm import alike
from . import _check


def matmul(data, pattern, dense, /):
    """Product of a sparse matrix with a dense one.

    Parameters
    ----------
    data : array, shape (nnz,)
        The stored entries, real or complex.
    pattern : Pattern
        Their places, in a matrix m × n.
    dense : array, shape (n,) or (n, p)

    Returns
    -------
    array, shape (m,) or (m, p)

    Raises
    ------
    TypeError
        ``data`` or ``dense`` is not a floating-point array, or ``pattern`` not a Pattern.
    ValueError
        The shapes do not fit.
    ImportError
        The arrays are NumPy's, and SciPy is not installed.

    Notes
    -----
    Exact at any order. Time O(nnz p). Source: `arrmb.ops.spmm`.
    """
    op = "sparse.matmul"
    _check.pattern(op, pattern)
    _check.entries(op, data, pattern)
    floating(op, "dense", dense)
    same_backend(op, data=data, dense=dense)
    if len(dense.shape) not in (1, 2) or dense.shape[0] != pattern.shape[1]:
        n = pattern.shape[1]
        raise ValueError(f"{op}: dense must have shape ({n},) or ({n}, p), got {tuple(dense.shape)}")
    data, dense = alike(data, dense)
    if len(dense.shape) == 2:
        return _spmm.spmm(data, dense, pattern=pattern)
    return _spmm.spmm(data, dense[:, None], pattern=pattern)[:, 0]


def sampled_matmul(left, right, pattern, /):
    """The stored entries of ``left @ right^H``: the adjoint of `matmul` with respect to its entries.

    Parameters
    ----------
    left, right : arrays, shapes (m, p), (n, p)
    pattern : Pattern
        Of a matrix m × n.

    Returns
    -------
    array, shape (nnz,)
        At each place (i, j), the inner product of row i of ``left`` with the conjugate of row j of ``right``.

    Raises
    ------
    TypeError, ValueError
        As `matmul` does.

    Notes
    -----
    Exact at any order. Time O(nnz p). Source: `arrmb.ops.spmm`.
    """
    op = "sparse.sampled_matmul"
    _check.pattern(op, pattern)
    for name, x, n in (("left", left, pattern.shape[0]), ("right", right, pattern.shape[1])):
        floating(op, name, x)
        if len(x.shape) != 2 or x.shape[0] != n:
            raise ValueError(f"{op}: {name} must have shape ({n}, p), got {tuple(x.shape)}")
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"{op}: left {tuple(left.shape)} and right {tuple(right.shape)} differ in their columns")
    same_backend(op, left=left, right=right)
    return _spmm.sddmm(*alike(left, right), pattern=pattern)
