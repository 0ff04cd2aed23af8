"""Thin QR of a tall matrix, A = QR, by blocks of rows where that is faster. A helper, not an op.

    A = [A_1; A_2; ...],  A_i = Q_i R_i,  [R_1; R_2; ...] = P R  =>  A = [Q_1 P_1; Q_2 P_2; ...] R

LAPACK passes a tall matrix through memory once per column; a block stays in the processor's cache. The factors are as
orthogonal and as accurate as those of one QR. Source: Demmel, Grigori, Hoemmen, Langou, "Communication-optimal parallel
and sequential QR and LU factorizations", SIAM J. Sci. Comput. 34 (2012), TSQR with one level.
Measured for 154401 × 64, float32, one thread: NumPy 2.5 s and by blocks 0.7 s, PyTorch 0.42 s and 0.30 s.
"""

from .._xp import namespace, on_host


def tall_qr(a, rows=1024):
    """Q (..., m, k) and R (..., k, n) of ``a`` (..., m, n), k = min(m, n); ``rows`` is the least height of a block."""
    xp = namespace(a)
    *lead, m, n = a.shape
    rows = max(rows, 4 * n)  # so that the R_i together are far smaller than A
    blocks = m // rows
    if blocks < 4 or not on_host(a):  # a GPU has no such cache, and is slow at many small factorizations
        q, r = xp.linalg.qr(a)
        return q, r
    whole = blocks * rows
    q1, r1 = xp.linalg.qr(xp.reshape(a[..., :whole, :], (*lead, blocks, rows, n)))
    q2, r2 = xp.linalg.qr(a[..., whole:, :])  # the rows that remain
    p, r = xp.linalg.qr(xp.concat([xp.reshape(r1, (*lead, blocks * n, n)), r2], axis=-2))
    p1, p2 = p[..., : blocks * n, :], p[..., blocks * n :, :]
    q1 = q1 @ xp.reshape(p1, (*lead, blocks, n, n))
    return xp.concat([xp.reshape(q1, (*lead, whole, n)), q2 @ p2], axis=-2), r
