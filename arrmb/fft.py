"""Fourier transforms of the Array API standard's fft extension, differentiable to any order.

Raw or traced floating-point arrays in, the same kind out, on any backend. Names, signatures, shapes and the three norms
("backward", "ortho", "forward") are the standard's. A real array is taken as complex where a transform needs that.
Source: `arrmb.ops.fourier`.
"""

from ._xp import conj, from_front, is_complex, is_inexact, namespace, raw_namespace
from .ops import fourier as _ops
from .ops import manipulation

__all__ = "fft fftn fftshift hfft ifft ifftn ifftshift ihfft irfft irfftn rfft rfftn".split()


def fft(x, /, *, n=None, axis=-1, norm="backward"):
    """Discrete Fourier transform along ``axis``, of length ``n`` (default: its size; else cut or padded with zeros)."""
    return _complex_transform("fft", _ops.fftn, x, None if n is None else (n,), (axis,), norm)


def ifft(x, /, *, n=None, axis=-1, norm="backward"):
    """Inverse of `fft`."""
    return _complex_transform("ifft", _ops.ifftn, x, None if n is None else (n,), (axis,), norm)


def fftn(x, /, *, s=None, axes=None, norm="backward"):
    """Discrete Fourier transform along several axes (default: the last ``len(s)``, or all), of lengths ``s``."""
    return _complex_transform("fftn", _ops.fftn, x, s, _axes(x, s, axes), norm)


def ifftn(x, /, *, s=None, axes=None, norm="backward"):
    """Inverse of `fftn`."""
    return _complex_transform("ifftn", _ops.ifftn, x, s, _axes(x, s, axes), norm)


def rfft(x, /, *, n=None, axis=-1, norm="backward"):
    """The first ``n//2 + 1`` frequencies of the discrete Fourier transform of real ``x``: the others are conjugates."""
    _check("rfft", x, norm)
    if is_complex(x):
        raise TypeError(f"rfft: x must be real, got dtype {x.dtype}; use fft")
    return _ops.rfft(_resize(x, axis, n), axis=axis, norm=norm)


def irfft(x, /, *, n=None, axis=-1, norm="backward"):
    """Inverse of `rfft`: a real array of length ``n`` along ``axis``, by default ``2 * (size - 1)``."""
    _check("irfft", x, norm)
    n = 2 * (x.shape[axis] - 1) if n is None else n
    return _ops.irfft(_resize(_as_complex(x), axis, n // 2 + 1), n=n, axis=axis, norm=norm)


def rfftn(x, /, *, s=None, axes=None, norm="backward"):
    """`fftn` of real ``x``, with half of the frequencies along the last of the axes, as in `rfft`."""
    axes = _axes(x, s, axes)
    y = rfft(x, n=None if s is None else s[-1], axis=axes[-1], norm=norm)
    return fftn(y, s=None if s is None else tuple(s[:-1]), axes=axes[:-1], norm=norm) if len(axes) > 1 else y


def irfftn(x, /, *, s=None, axes=None, norm="backward"):
    """Inverse of `rfftn`."""
    axes = _axes(x, s, axes)
    if len(axes) > 1:
        x = ifftn(x, s=None if s is None else tuple(s[:-1]), axes=axes[:-1], norm=norm)
    return irfft(x, n=None if s is None else s[-1], axis=axes[-1], norm=norm)


def hfft(x, /, *, n=None, axis=-1, norm="backward"):
    """Real transform of a signal with Hermitian symmetry, of which ``x`` is the first half."""
    _check("hfft", x, norm)
    return irfft(conj(x), n=n, axis=axis, norm=_ops.OTHER[norm])


def ihfft(x, /, *, n=None, axis=-1, norm="backward"):
    """Inverse of `hfft`: half of a signal with Hermitian symmetry, from real ``x``."""
    _check("ihfft", x, norm)
    return conj(rfft(x, n=n, axis=axis, norm=_ops.OTHER[norm]))


def fftshift(x, /, *, axes=None):
    """Moves the frequency 0 to the middle of ``axes`` (default: all)."""
    return _shift(x, axes, lambda n: n // 2)


def ifftshift(x, /, *, axes=None):
    """Inverse of `fftshift`."""
    return _shift(x, axes, lambda n: -(n // 2))


def _shift(x, axes, by):
    axes = range(len(x.shape)) if axes is None else (axes,) if isinstance(axes, int) else axes
    return manipulation.roll(x, shift=tuple(by(x.shape[a]) for a in axes), axis=tuple(axes))


def _complex_transform(name, op, x, sizes, axes, norm):
    _check(name, x, norm)
    x = _as_complex(x)
    if sizes is not None:
        if len(sizes) != len(axes):
            raise ValueError(f"{name}: s has {len(sizes)} lengths for {len(axes)} axes")
        for axis, n in zip(axes, sizes):
            x = _resize(x, axis, n)
    return op(x, axes=tuple(axes), norm=norm)


def _check(name, x, norm):
    if not hasattr(x, "dtype") or not is_inexact(x):
        kind = f"dtype {x.dtype}" if hasattr(x, "dtype") else type(x).__name__
        raise TypeError(f"{name}: x must be a floating-point array, got {kind}; cast it with xp.astype")
    if norm not in _ops.OTHER:
        raise ValueError(f'{name}: norm must be "backward", "ortho" or "forward", got {norm!r}')


def _axes(x, s, axes):
    n = len(x.shape)
    if axes is not None:
        return tuple(axes)
    return tuple(range(n)) if s is None else tuple(range(n - len(s), n))


def _as_complex(x):
    if is_complex(x):
        return x
    below = raw_namespace(namespace(x))
    return manipulation.astype(x, dtype=below.complex64 if x.dtype == below.float32 else below.complex128)


def _resize(x, axis, n):
    """``x`` cut or padded with zeros at the end of ``axis``."""
    axis = from_front(axis, len(x.shape))
    size = x.shape[axis]
    if n is None or n == size:
        return x
    if n < size:
        return x[(slice(None),) * axis + (slice(0, n), ...)]
    return manipulation.embed(x, axis=axis, before=0, after=n - size)
