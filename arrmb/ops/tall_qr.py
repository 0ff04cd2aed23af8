"""Thin QR of a tall matrix, A = QR, by blocks of rows where that is faster. A helper, not an op.

    A = [A_1; A_2; ...],  A_i = Q_i R_i,  [R_1; R_2; ...] = [P_1; P_2; ...] R  =>  A = [Q_1 P_1; Q_2 P_2; ...] R

LAPACK passes a tall matrix through memory once per column; a block stays in the processor's cache. The factors are as
orthogonal and as accurate as those of one QR. Source: Demmel, Grigori, Hoemmen, Langou, "Communication-optimal parallel
and sequential QR and LU factorizations", SIAM J. Sci. Comput. 34 (2012), TSQR.
Measured for 154401 × 64, float32, one thread: 4.6 times as fast by blocks with `numpy.linalg.qr`, twice as fast with
PyTorch's.
"""

import math

from .._lapack import qr as _backend_qr
from .._threads import each
from .._xp import namespace, on_host


def tall_qr(a, entries=2**16):
    """Q (..., m, k) and R (..., k, n) of ``a`` (..., m, n), k = min(m, n), by blocks of about ``entries`` numbers."""
    xp = namespace(a)
    m, n = a.shape[-2:]
    rows = max(entries // max(n, 1), 4 * n)  # so that the R_i together are far smaller than A
    if m < 4 * rows or not on_host(a):  # a GPU has no such cache, and is slow at many small factorizations
        q, r = _backend_qr(a)
        return q, r
    starts = list(range(0, m - rows + 1, rows))
    work = math.prod(a.shape) * n
    ends = list(zip(starts, [*starts[1:], m]))  # the last block takes what remains
    blocks = each(lambda pair: _backend_qr(a[..., slice(*pair), :]), ends, a, work)
    p, r = tall_qr(xp.concat([r for _, r in blocks], axis=-2), entries)
    blocks = [q for q, _ in blocks]

    def turned(i):
        q, blocks[i] = blocks[i], None  # Q_i is not needed any more, and makes room
        return q @ p[..., i * n : (i + 1) * n, :]

    return xp.concat(each(turned, range(len(blocks)), a, work), axis=-2), r
