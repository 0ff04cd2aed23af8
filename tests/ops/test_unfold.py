"""Sliding-window patches and their transpose."""

import numpy as np
import pytest

from arrmb.ops.unfold import fold, unfold

CASES = {
    "plain": ((5, 4, 2), (3, 3), (1, 1), ((0, 0), (0, 0))),
    "padded": ((4, 5, 2), (3, 2), (1, 1), ((1, 1), (0, 1))),
    "strided": ((6, 7, 3), (3, 2), (2, 3), ((1, 0), (2, 1))),
    "window of one": ((3, 4, 2), (1, 1), (2, 2), ((0, 0), (0, 0))),
    "rows left over": ((6, 6, 1), (2, 2), (3, 4), ((0, 0), (0, 0))),
}


def loops(x, kernel, stride, padding):
    """The definition in the op's docstring, entry by entry."""
    (top, bottom), (left, right) = padding
    h, w, channels = x.shape[-3:]
    rows = (h + top + bottom - kernel[0]) // stride[0] + 1
    columns = (w + left + right - kernel[1]) // stride[1] + 1
    y = np.zeros((*x.shape[:-3], rows, columns, *kernel, channels), dtype=x.dtype)
    for i, j, a, b in np.ndindex(rows, columns, *kernel):
        p, q = i * stride[0] + a - top, j * stride[1] + b - left
        if 0 <= p < h and 0 <= q < w:
            y[..., i, j, a, b, :] = x[..., p, q, :]
    return y.reshape(*x.shape[:-3], rows, columns, -1)


@pytest.mark.parametrize("shape, kernel, stride, padding", CASES.values(), ids=CASES)
def test_unfold(check, shape, kernel, stride, padding):
    params = {"kernel": kernel, "stride": stride, "padding": padding}
    check(unfold, lambda d: (d.normal(*shape),), params=params, reference=lambda x: loops(x, **params))


@pytest.mark.parametrize("shape, kernel, stride, padding", CASES.values(), ids=CASES)
def test_fold(check, shape, kernel, stride, padding):
    patches = loops(np.zeros(shape), kernel, stride, padding).shape
    params = {"shape": shape, "kernel": kernel, "stride": stride, "padding": padding}
    check(fold, lambda d: (d.normal(*patches),), params=params, batch=False)


def test_the_input_is_not_kept(backend):
    """A linear op saves shapes only: a trained network keeps the patches once, in the matrix product."""
    x = backend.put(np.ones((2, 5, 5, 1)), "float64")
    _, saved = unfold.forward(x, kernel=(3, 3), stride=(1, 1), padding=((0, 0), (0, 0)))
    assert saved[0] == x.shape and not any(hasattr(v, "dtype") for v in saved)
