"""Discrete Fourier transforms along given axes, without padding.

All are linear, Y = F X, so dY = F dX and Xbar = F^H Ybar. With ω = e^(-2πi/n), F_kl = ω^kl up to a real factor:

    fftn     F^H is the inverse transform with the factor of F: that of the other norm ("backward" <-> "forward").
    ifftn    likewise.
    rfft     the first n//2 + 1 rows of F, for real X. With its conjugate, row k stands for d_k rows (1 for frequency 0,
             and n/2 if n is even; else 2):              Xbar = Re(F^H Ybar) = irfft of Ybar / d, with the factor of F
    irfft    the transpose of the former:                Xbar = d · rfft of Ybar, with the factor of irfft

Source: Giles, "Collected matrix derivative results for forward and reverse mode AD" (2008), 2.2.2, for a linear map;
d counts the frequencies of a real sequence, of which half are given.
Domain: everywhere, any order. Complex arrays, real ones for rfft.
"""

from .._xp import device, namespace
from .manipulation import linear

OTHER = {"backward": "forward", "forward": "backward", "ortho": "ortho"}  # the norm of the adjoint


def _counts(y, n, axis):
    """d, along ``axis``."""
    xp = namespace(y)
    k = xp.arange(y.shape[axis], dtype=xp.real(y).dtype, device=device(y))
    d = xp.where((k == 0.0) | (2.0 * k == n), xp.ones_like(k), 2.0 * xp.ones_like(k))
    return xp.reshape(d, tuple(-1 if i == axis % len(y.shape) else 1 for i in range(len(y.shape))))


def _real_adjoint(ybar, shape, *, axis, norm):
    n = shape[axis]
    return irfft(ybar / _counts(ybar, n, axis), n=n, axis=axis, norm=OTHER[norm])


def _real_inverse_adjoint(ybar, _, *, n, axis, norm):
    xbar = rfft(ybar, axis=axis, norm=OTHER[norm])
    return xbar * _counts(xbar, n, axis)


fftn = linear(
    "fftn",
    lambda x, *, axes, norm: namespace(x).fft.fftn(x, axes=axes, norm=norm),
    lambda ybar, _, *, axes, norm: ifftn(ybar, axes=axes, norm=OTHER[norm]),
)
ifftn = linear(
    "ifftn",
    lambda x, *, axes, norm: namespace(x).fft.ifftn(x, axes=axes, norm=norm),
    lambda ybar, _, *, axes, norm: fftn(ybar, axes=axes, norm=OTHER[norm]),
)
rfft = linear("rfft", lambda x, *, axis, norm: namespace(x).fft.rfft(x, axis=axis, norm=norm), _real_adjoint)
irfft = linear(
    "irfft",
    lambda x, *, n, axis, norm: namespace(x).fft.irfft(x, n=n, axis=axis, norm=norm),
    _real_inverse_adjoint,
)
