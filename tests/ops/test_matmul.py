"""Matrix product, with vectors and broadcast batch axes."""

import numpy as np
import pytest

from arrmb.ops.matmul import matmul


@pytest.mark.parametrize("a, b", [((3, 4), (4, 2)), ((1, 4), (4, 1))])
def test_matrices(check, a, b):
    check(matmul, lambda d: (d.normal(*a), d.normal(*b)), reference=np.matmul)


@pytest.mark.parametrize("a, b", [((4,), (4,)), ((4,), (4, 2)), ((3, 4), (4,)), ((4,), (2, 4, 3)), ((2, 3, 4), (4,))])
def test_vectors(check, a, b):
    check(matmul, lambda d: (d.normal(*a), d.normal(*b)), reference=np.matmul, batch=False)


@pytest.mark.parametrize("a, b", [((5, 3, 4), (4, 2)), ((3, 4), (5, 4, 2)), ((5, 1, 3, 4), (2, 4, 2))])
def test_broadcast_batches(check, a, b):
    check(matmul, lambda d: (d.normal(*a), d.normal(*b)), reference=np.matmul, batch=False)
