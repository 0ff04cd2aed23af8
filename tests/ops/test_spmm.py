"""Product of a sparse matrix, and inner products at its stored places: every format, any order."""

import numpy as np
import pytest

from arrmb._xp import conj
from arrmb.ops.pattern import Pattern
from arrmb.ops.spmm import hermitian, sddmm, spmm

sp = pytest.importorskip("scipy.sparse")

MASK = np.random.default_rng(3).random((5, 7)) < 0.4
MASK[2] = False  # an empty row


def pattern(form="csr"):
    return Pattern(sp.csr_array(MASK.astype(float)).asformat(form))


def dense(data, p):
    a = np.zeros(p.shape, dtype=data.dtype)
    a[p.rows, p.columns] = data
    return a


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_spmm(check, form):
    p = pattern(form)
    check(
        spmm,
        lambda d: (d.normal(p.nnz), d.normal(7, 3)),
        params={"pattern": p},
        reference=lambda a, b: dense(a, p) @ b,
        batch=False,
    )


def test_spmm_of_the_transpose(check):
    p = pattern("csc").transpose
    check(
        spmm,
        lambda d: (d.normal(p.nnz), d.normal(5, 40)),  # more columns than are gathered at once
        params={"pattern": p},
        reference=lambda a, b: dense(a, p) @ b,
        batch=False,
    )


def test_sddmm(check):
    p = pattern()
    check(
        sddmm,
        lambda d: (d.normal(5, 35), d.normal(7, 35)),
        params={"pattern": p},
        reference=lambda x, y: (x @ np.conj(y).T)[p.rows, p.columns],
        batch=False,
    )


def test_hermitian_part(backend):
    p = Pattern(sp.coo_array(np.ones((4, 4))))
    data = np.arange(16.0) * (1.0 + 2.0j)
    found = backend.get(hermitian(backend.put(data, "complex128"), p))
    a = dense(data, p)
    assert np.array_equal(found, (0.5 * (a + conj(a.T)))[p.rows, p.columns])


def test_pattern():
    a = sp.coo_array(([1.0, 2.0, 3.0], ([2, 0, 1], [0, 1, 0])), shape=(3, 2))
    p = Pattern(a)
    assert (p.shape, p.nnz, repr(p)) == ((3, 2), 3, "Pattern(shape=(3, 2), nnz=3)")
    assert p.rows.tolist() == [2, 0, 1]
    assert p.mirror is None
    assert Pattern(sp.csr_array(np.zeros((3, 3)))).nnz == 0
    square = Pattern(sp.csr_array(np.array([[1.0, 2.0], [0.0, 1.0]])))
    assert square.mirror is None
    assert square.lonely() == (0, 1)


def test_pattern_refuses():
    with pytest.raises(TypeError, match="CSR, CSC or COO format, got an object of ndarray"):
        Pattern(np.eye(3))
    with pytest.raises(TypeError, match="got a sparse array in dia format"):
        Pattern(sp.eye_array(3, format="dia"))
    with pytest.raises(ValueError, match=r"first at \(0, 1\): call matrix.sum_duplicates"):
        Pattern(sp.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(2, 2)))
