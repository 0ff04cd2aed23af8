"""Functions that are built of others: condition number, chains of products, block diagonal and Kronecker products.

None has a rule of its own; raw or traced arrays in, the same kind out, on any backend.
"""

import functools
import math

import numpy as np

from .._xp import device, integer, is_traced, namespace, on_host, raw
from ..ops import inverse as _inverse
from ..tape.core import has_derivative, lift
from . import _check
from .norms import matrix_norm
from .singular import svdvals

__all__ = ["block_diag", "cond", "kron", "multi_dot", "vech"]


def cond(x, /, p=None):
    """Condition number of matrices.

    Parameters
    ----------
    x : array, shape (..., m, n), for ``p`` other than None, 2 and -2 (..., n, n)
        Real or complex, not empty.
    p : {None, 2, -2, "fro", "nuc", 1, -1, inf, -inf}
        None and 2: the largest by the smallest singular value; -2: the inverse of that; else ``‖x‖ ‖x^-1‖`` in the
        norm of this order (see `matrix_norm`).

    Returns
    -------
    array, shape (...)
        Real. Infinite where ``x`` is singular, with ``p`` None or 2.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array, or ``p`` is neither a number nor a string.
    ValueError
        ``x`` is not an array of matrices, is empty, is not square for ``p`` other than None, 2 and -2, or ``p`` is
        unknown; or (on a CPU) ``x`` is singular while a derivative is taken or its inverse is needed.

    Notes
    -----
    Differentiable where the largest and the smallest singular value are simple; at a tie the derivative is that of one
    of the vectors. Source: `svdvals`, `matrix_norm`.
    """
    _check.matrix("cond", "x", x)
    if p is not None and not isinstance(p, str):
        _check.number("cond", "p", p)
    if p not in (None, 2, -2, "fro", "nuc", 1, -1, math.inf, -math.inf):
        raise ValueError(f"cond: p must be None, 2, -2, 'fro', 'nuc', 1, -1, inf or -inf, got {p!r}")
    if 0 in x.shape[-2:]:
        raise ValueError(f"cond: x must have at least one row and one column, got shape {tuple(x.shape)}")
    if p not in (None, 2, -2):
        _check.matrix("cond", "x", x, square=True)
        with _check.backend_errors(
            "cond", "x", "is singular: its condition number is infinite; add a multiple of the identity"
        ):
            inverse = _inverse.inv(x)
        return matrix_norm(x, ord=p) * matrix_norm(inverse, ord=p)
    xp, s = namespace(x), svdvals(x)
    largest, smallest = s[..., 0], s[..., -1]
    if p == -2:
        largest, smallest = smallest, largest
    if has_derivative(x) and on_host(raw(x)):
        zero = raw(s)[..., -1] == 0.0
        if bool(namespace(zero).any(zero)):
            raise ValueError("cond: x is singular: its condition number is infinite, and has no derivative")
    infinite = xp.full_like(smallest, math.inf)  # arrays, not numbers: NumPy 1 widens scalars
    return xp.where(smallest == 0.0, infinite, largest / xp.where(smallest == 0.0, xp.ones_like(smallest), smallest))


def multi_dot(arrays, /):
    """Product of several matrices, in the order of evaluation that takes the fewest multiplications.

    Parameters
    ----------
    arrays : sequence of arrays, shapes (..., n_0, n_1), (..., n_1, n_2), ...
        At least two. Leading axes broadcast. The first may be a row (n_1,) and the last a column (n_{k-1},).

    Returns
    -------
    array, shape (..., n_0, n_k)
        Without the axis of a first or last vector.

    Raises
    ------
    TypeError
        An argument is not a floating-point array, or the arrays belong to different backends.
    ValueError
        There are fewer than two, or the shapes do not fit.

    Notes
    -----
    Smooth; derivatives exact at any order. Source of the order: Cormen et al., "Introduction to Algorithms" (4th ed.,
    2022), 14.2.
    """
    arrays = list(arrays)
    if len(arrays) < 2:
        raise ValueError(f"multi_dot: needs at least two arrays, got {len(arrays)}")
    names = [f"arrays[{i}]" for i in range(len(arrays))]
    for name, x in zip(names, arrays):
        _check.floating("multi_dot", name, x)
    _check.same_backend("multi_dot", **dict(zip(names, arrays)))
    row, column = len(arrays[0].shape) == 1, len(arrays[-1].shape) == 1
    if row:
        arrays[0] = arrays[0][None, :]
    if column:
        arrays[-1] = arrays[-1][:, None]
    for name, x in zip(names, arrays):
        _check.matrix("multi_dot", name, x)
    for i in range(len(arrays) - 1):
        if arrays[i].shape[-1] != arrays[i + 1].shape[-2]:
            raise ValueError(
                f"multi_dot: the columns of {names[i]}, shape {tuple(arrays[i].shape)}, are not the rows of "
                f"{names[i + 1]}, shape {tuple(arrays[i + 1].shape)}"
            )
    sizes = [arrays[0].shape[-2], *(x.shape[-1] for x in arrays)]

    @functools.cache
    def best(i, j):
        """Fewest multiplications for factors i to j - 1, and where to split them."""
        if j == i + 1:
            return 0, i
        return min((best(i, k)[0] + best(k, j)[0] + sizes[i] * sizes[k] * sizes[j], k) for k in range(i + 1, j))

    def product(i, j):
        if j == i + 1:
            return arrays[i]
        k = best(i, j)[1]
        left, right = product(i, k), product(k, j)
        return namespace(left, right).matmul(left, right)

    y = product(0, len(arrays))
    y = y[..., 0, :] if row else y
    return y[..., 0] if column else y


def block_diag(*arrays):
    """Block diagonal matrix of the given blocks, in their order.

    Parameters
    ----------
    *arrays : arrays, shapes (..., m_i, n_i)
        At least one. Leading axes broadcast; dtypes are promoted.

    Returns
    -------
    array, shape (..., sum of m_i, sum of n_i)

    Raises
    ------
    TypeError
        An argument is not a floating-point array, or the arrays belong to different backends.
    ValueError
        There is none, or one is not an array of matrices, or the leading axes do not broadcast.

    Notes
    -----
    Linear; derivatives exact at any order.
    """
    if not arrays:
        raise ValueError("block_diag: needs at least one block")
    names = [f"arrays[{i}]" for i in range(len(arrays))]
    for name, x in zip(names, arrays):
        _check.matrix("block_diag", name, x)
    _check.same_backend("block_diag", **dict(zip(names, arrays)))
    xp = namespace(*arrays)
    if any(is_traced(x) for x in arrays):
        arrays = [lift(x) for x in arrays]
    try:
        batch = np.broadcast_shapes(*(tuple(x.shape[:-2]) for x in arrays))
    except ValueError:
        shapes = ", ".join(str(tuple(x.shape)) for x in arrays)
        raise ValueError(f"block_diag: the leading axes of {shapes} do not broadcast") from None
    dtype = xp.result_type(*(raw(x) for x in arrays)) if len(arrays) > 1 else arrays[0].dtype
    total, before, rows = sum(x.shape[-1] for x in arrays), 0, []
    for x in arrays:
        m, n = x.shape[-2:]
        block = xp.broadcast_to(xp.astype(x, dtype), (*batch, m, n))
        left, right = (
            xp.zeros((*batch, m, k), dtype=dtype, device=device(raw(x))) for k in (before, total - before - n)
        )
        rows.append(xp.concat([left, block, right], axis=-1))
        before += n
    return xp.concat(rows, axis=-2)


def kron(x1, x2, /):
    """Kronecker product of matrices: blocks ``x1[i, j] * x2``.

    Parameters
    ----------
    x1 : array, shape (..., m, n)
    x2 : array, shape (..., p, q)
        Leading axes broadcast.

    Returns
    -------
    array, shape (..., m p, n q)

    Raises
    ------
    TypeError
        An argument is not a floating-point array, or they belong to different backends.
    ValueError
        An argument is not an array of matrices.

    Notes
    -----
    Smooth; derivatives exact at any order. A product with a vector does without these m p n q entries:
    ``kron(a, b) @ vec(x)`` is ``a @ x @ matrix_transpose(b)`` for ``vec`` row by row.
    """
    _check.matrix("kron", "x1", x1)
    _check.matrix("kron", "x2", x2)
    _check.same_backend("kron", x1=x1, x2=x2)
    if is_traced(x1) or is_traced(x2):
        x1, x2 = lift(x1), lift(x2)
    (m, n), (p, q) = x1.shape[-2:], x2.shape[-2:]
    y = x1[..., :, None, :, None] * x2[..., None, :, None, :]
    return namespace(y).reshape(y, (*y.shape[:-4], m * p, n * q))


def vech(x, /):
    """The entries on and below the diagonal of square matrices as vectors, column by column.

    All that is in a symmetric matrix, as features for a linear layer.

    Parameters
    ----------
    x : array, shape (..., n, n)

    Returns
    -------
    array, shape (..., n (n + 1) / 2)

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not square.

    Notes
    -----
    Linear; derivatives exact at any order. Entries above the diagonal are not read.
    """
    _check.matrix("vech", "x", x, square=True)
    n, xp = x.shape[-1], namespace(x)
    index = [i * n + j for j in range(n) for i in range(j, n)]
    raw_xp = namespace(raw(x))
    index = raw_xp.asarray(index, dtype=integer(raw_xp), device=device(raw(x)))
    return xp.take(xp.reshape(x, (*x.shape[:-2], n * n)), index, axis=-1)
