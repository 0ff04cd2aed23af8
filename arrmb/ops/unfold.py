"""Sliding-window patches of images with channels last (im2col), and the transpose that adds patches up into images.

    unfold    Y[..., i, j, (a, b, c)] = X[..., i·sh + a - top, j·sw + b - left, c],   X = 0 outside of the image
    fold      X[..., p, q, c] = sum of Ybar over all (i, j, a, b) that unfold read from (p, q)

Both are linear, and each is the adjoint of the other: ``<Ybar, unfold(dX)> = <fold(Ybar), dX>``. A convolution is an
unfold and a matrix product.

Shapes: x (..., H, W, C) to y (..., H', W', kh·kw·C), with H' = (H + top + bottom - kh) // sh + 1, and W' likewise. The
parameters are ``kernel`` (kh, kw), ``stride`` (sh, sw) and ``padding`` ((top, bottom), (left, right)).
Source: Chellapilla, Puri, Simard, "High performance convolutional neural networks for document processing" (2006).
Domain: everywhere, any order, any dtype.
"""

from .._xp import device, is_traced, namespace, with_entries
from .manipulation import linear


def _windows(shape, kernel, stride, padding):
    """Keys into the padded image (..., h, w, C), one per place in the kernel; then h, w, and the output's H', W'."""
    (top, bottom), (left, right) = padding
    h, w = shape[-3] + top + bottom, shape[-2] + left + right
    rows, columns = (h - kernel[0]) // stride[0] + 1, (w - kernel[1]) // stride[1] + 1
    down = [slice(a, a + (rows - 1) * stride[0] + 1, stride[0]) for a in range(kernel[0])]
    across = [slice(b, b + (columns - 1) * stride[1] + 1, stride[1]) for b in range(kernel[1])]
    return [(..., r, c, slice(None)) for r in down for c in across], h, w, rows, columns


def _unfold(x, *, kernel, stride, padding):
    if is_traced(x):
        return unfold(x, kernel=kernel, stride=stride, padding=padding)
    xp = namespace(x)
    keys, h, w, _, _ = _windows(x.shape, kernel, stride, padding)
    if (h, w) != x.shape[-3:-1]:
        padded = xp.zeros((*x.shape[:-3], h, w, x.shape[-1]), dtype=x.dtype, device=device(x))
        x = with_entries(padded, _interior(x.shape, padding), x)
    return xp.concat([x[key] for key in keys], axis=-1) if len(keys) > 1 else x[keys[0]]


def _fold(y, shape, *, kernel, stride, padding):
    if is_traced(y):
        return fold(y, shape=shape, kernel=kernel, stride=stride, padding=padding)
    channels = shape[-1]
    keys, h, w, _, _ = _windows(shape, kernel, stride, padding)
    padded = namespace(y).zeros((*shape[:-3], h, w, channels), dtype=y.dtype, device=device(y))
    for k, key in enumerate(keys):
        padded = with_entries(padded, key, y[..., k * channels : (k + 1) * channels], add=True)
    return padded[_interior(shape, padding)]


def _interior(shape, padding):
    (top, _), (left, _) = padding
    return (..., slice(top, top + shape[-3]), slice(left, left + shape[-2]), slice(None))


unfold = linear("unfold", _unfold, _fold)
fold = linear(
    "fold",
    lambda y, *, shape, kernel, stride, padding: _fold(y, shape, kernel=kernel, stride=stride, padding=padding),
    lambda xbar, _, *, shape, kernel, stride, padding: _unfold(xbar, kernel=kernel, stride=stride, padding=padding),
)
