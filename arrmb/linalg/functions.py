"""Functions of general square matrices.

Raw or traced arrays in, the same kind out, on any backend.
"""

from .._xp import device, namespace
from . import _check
from .systems import inv

__all__ = ["matrix_power"]


def matrix_power(x, n, /):
    """Integer power of square matrices, by repeated squaring.

    Parameters
    ----------
    x : array, shape (..., n, n)
    n : int
        Negative: the power ``-n`` of the inverse; 0: the identity.

    Returns
    -------
    array, shape (..., n, n)

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array, or ``n`` is not an integer.
    ValueError
        ``x`` is not square, or is singular while ``n`` is negative.

    Notes
    -----
    Smooth; derivatives exact at any order. For real powers of Hermitian matrices see `powmh`.
    """
    _check.matrix("matrix_power", "x", x, square=True)
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"matrix_power: n must be a Python int, got {type(n).__name__}; for real powers use powmh")
    xp = namespace(x)
    if n == 0:
        eye = xp.eye(x.shape[-1], dtype=x.dtype, device=device(x))
        return xp.broadcast_to(eye, x.shape) + xp.zeros_like(x)  # an array of its own, not a view
    square, power = inv(x) if n < 0 else x, None
    n = abs(n)
    while True:
        if n % 2:
            power = square if power is None else power @ square
        n //= 2
        if not n:
            return power
        square = square @ square
