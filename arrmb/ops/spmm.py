"""Product of a sparse matrix with a dense one, and its companion, the product of two dense ones at stored places.

A(a) is the matrix with the entries a (nnz,) on a pattern; s(X)_e = X[i_e, j_e] picks entries, and is the adjoint of A.

    spmm     Y = A(a) B              dY = A(da) B + A(a) dB         abar = s(Ybar B^H),   Bbar = A(a)^H Ybar
    sddmm    y = s(L R^H)            dy = s(dL R^H) + s(L dR^H)     Lbar = A(ybar) R,     Rbar = A(ybar)^H L

The rules are the two ops themselves: exact at any order. Nothing but stored entries is formed. The Hermitian part of a
matrix whose pattern has each place with its mirrored one is (a + m(a)^*)/2, m(a)_e being a at the mirrored place of e.

Source: Giles, "Collected matrix derivative results for forward and reverse mode AD" (2008), 2.2.2, restricted to the
places where A may change; Canny and Zhao, "Big data analytics with small footprint" (KDD 2013), for the second product.
Domain: any pattern, m × n; real or complex; no batch axes. NumPy through SciPy's CSR, CuPy through its own, other
backends by gathering rows and adding them up. On a GPU sums may be in any order.
"""

from .._xp import backend_of, conj, is_complex, is_traced, namespace, raw, scatter_rows
from ..tape.core import Op, lift
from .indexing import take

_BLOCK = 32  # columns of the dense factors that are gathered at once


def _blocks(x):
    p = x.shape[1]
    return [slice(i, min(i + _BLOCK, p)) for i in range(0, max(p, 1), _BLOCK)]


def binder(data, pattern):
    """The map B -> A B, raw arrays, with what does not depend on B done once."""
    xp = namespace(data)
    name = backend_of(xp)
    if name in ("numpy", "cupy"):
        order, indices, ends = [pattern.on(data, key) for key in ("order", "indices", "ends")]
        matrix = _csr(name)((data[order], indices, ends), shape=pattern.shape)
        return lambda b: matrix @ b
    rows, columns = pattern.on(data, "rows"), pattern.on(data, "columns")

    def product(b):
        blocks = []
        for block in _blocks(b):
            parts = data[:, None] * xp.take(b[:, block], columns, axis=0)
            blocks.append(scatter_rows(parts, rows, pattern.shape[0]))
        return blocks[0] if len(blocks) == 1 else xp.concat(blocks, axis=1)

    return product


def _csr(name):
    if name == "cupy":
        from cupyx.scipy.sparse import csr_matrix

        return csr_matrix
    try:
        from scipy.sparse import csr_array
    except ImportError:
        raise ImportError("sparse products of NumPy arrays: needs SciPy: pip install 'arrmb[scipy]'") from None
    return csr_array


# spmm


def _spmm_forward(data, dense, *, pattern):
    traced = is_traced(data) or is_traced(dense)
    y = spmm(data, dense, pattern=pattern) if traced else binder(data, pattern)(dense)
    return y, (data, dense, pattern)


def _spmm_ddata(saved, ddata):
    _, dense, pattern = saved
    return spmm(*alike(ddata, dense), pattern=pattern)


def _spmm_ddense(saved, ddense):
    data, _, pattern = saved
    return spmm(*alike(data, ddense), pattern=pattern)


def _spmm_databar(saved, ybar):
    _, dense, pattern = saved
    return sddmm(*alike(ybar, dense), pattern=pattern)


def _spmm_densebar(saved, ybar):
    data, _, pattern = saved
    return spmm(*alike(conj(data), ybar), pattern=pattern.transpose)


# sddmm


def _sddmm_forward(left, right, *, pattern):
    if is_traced(left) or is_traced(right):
        return sddmm(left, right, pattern=pattern), (left, right, pattern)
    xp = namespace(left, right)
    rows, columns = pattern.on(left, "rows"), pattern.on(left, "columns")
    total = 0.0
    for block in _blocks(left):
        products = xp.take(left[:, block], rows, axis=0) * conj(xp.take(right[:, block], columns, axis=0))
        total = total + xp.sum(products, axis=-1)
    return total, (left, right, pattern)


def _sddmm_dleft(saved, dleft):
    _, right, pattern = saved
    return sddmm(*alike(dleft, right), pattern=pattern)


def _sddmm_dright(saved, dright):
    left, _, pattern = saved
    return sddmm(*alike(left, dright), pattern=pattern)


def _sddmm_leftbar(saved, ybar):
    _, right, pattern = saved
    return spmm(*alike(ybar, right), pattern=pattern)


def _sddmm_rightbar(saved, ybar):
    left, _, pattern = saved
    return spmm(*alike(conj(ybar), left), pattern=pattern.transpose)


def alike(a, b):
    """Both lifted if one is traced."""
    return (lift(a), lift(b)) if is_traced(a) or is_traced(b) else (a, b)


def hermitian(data, pattern):
    """The entries of the Hermitian part of A, on a pattern that has each place with its mirrored one."""
    mirrored = take(data, indices=pattern.on(raw(data), "mirror"))
    return 0.5 * (data + (conj(mirrored) if is_complex(data) else mirrored))


spmm = Op("spmm", _spmm_forward, (_spmm_ddata, _spmm_ddense), (_spmm_databar, _spmm_densebar))
sddmm = Op("sddmm", _sddmm_forward, (_sddmm_dleft, _sddmm_dright), (_sddmm_leftbar, _sddmm_rightbar))
