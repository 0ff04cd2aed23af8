"""Thin QR of a tall matrix, A = QR, by blocks of rows where that is faster. A helper, not an op.

    A = [A_1; A_2; ...],  A_i = Q_i R_i,  [R_1; R_2; ...] = [P_1; P_2; ...] R  =>  A = [Q_1 P_1; Q_2 P_2; ...] R

LAPACK passes a tall matrix through memory once per column; a block stays in the processor's cache. The factors are as
orthogonal and as accurate as those of one QR. Source: Demmel, Grigori, Hoemmen, Langou, "Communication-optimal parallel
and sequential QR and LU factorizations", SIAM J. Sci. Comput. 34 (2012), TSQR.
Measured for 154401 × 64, float32, one thread: 4.6 times as fast by blocks with `numpy.linalg.qr`, twice as fast with
PyTorch's.
"""

import math

from .._lapack import has_reflectors, qr_multiply
from .._lapack import qr as _backend_qr
from .._threads import each
from .._xp import H, namespace, on_host

ENTRIES = 2**16  # numbers in a block: it stays in a core's cache


def tall_qr(a, entries=ENTRIES):
    """Q (..., m, k) and R (..., k, n) of ``a`` (..., m, n), k = min(m, n), by blocks of about ``entries`` numbers."""
    rows = _rows(a, entries)
    if not rows:
        q, r = _backend_qr(a)
        return q, r
    n, work = a.shape[-1], math.prod(a.shape) * a.shape[-1]
    blocks = each(lambda part: _backend_qr(a[..., part, :]), rows, a, work)
    xp = namespace(a)
    p, r = tall_qr(xp.concat([r for _, r in blocks], axis=-2), entries)
    blocks = [q for q, _ in blocks]

    def turned(i):
        q, blocks[i] = blocks[i], None  # Q_i is not needed any more, and makes room
        return q @ p[..., i * n : (i + 1) * n, :]

    return xp.concat(each(turned, range(len(blocks)), a, work), axis=-2), r


def tall_qr_multiply(a, b, entries=ENTRIES):
    """R, Q^H B, and the function C -> Q C for C with the columns of B, of A = QR; few columns need no Q."""
    if not has_reflectors(a, b):
        q, r = tall_qr(a, entries)
        return r, H(q) @ b, lambda c: q @ c
    rows = _rows(a, entries)
    if not rows:
        return qr_multiply(a, b)
    n, work = a.shape[-1], math.prod(a.shape) * a.shape[-1]
    blocks = each(lambda part: qr_multiply(a[..., part, :], b[..., part, :]), rows, a, work)
    xp = namespace(a)
    rs, ps = (xp.concat([block[i] for block in blocks], axis=-2) for i in (0, 1))
    r, p, through = tall_qr_multiply(rs, ps, entries)

    def times(c):
        c, work = through(c), math.prod(a.shape) * c.shape[-1]
        ys = each(lambda i: blocks[i][2](c[..., i * n : (i + 1) * n, :]), range(len(blocks)), a, work)
        return xp.concat(ys, axis=-2)

    return r, p, times


def _rows(a, entries):
    """The rows of each block, or none if blocks are not faster."""
    m, n = a.shape[-2:]
    rows = max(entries // max(n, 1), 4 * n)  # so that the R_i together are far smaller than A
    if m < 4 * rows or not on_host(a):  # a GPU has no such cache, and is slow at many small factorizations
        return []
    starts = list(range(0, m - rows + 1, rows))
    return [slice(*ends) for ends in zip(starts, [*starts[1:], m])]  # the last block takes what remains
