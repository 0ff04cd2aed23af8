"""Elementwise functions.

Domain: as the ops have it (`arrmb.ops.arithmetic`, `arrmb.ops.elementwise`), and
sign: 0 at 0, with all derivatives 0. copysign: at x1 = 0 the derivative is 0, as that of abs.
clip: 1 at the bounds, which have no derivative of their own there, numbers or arrays.
nextafter: the identity in x1.
"""

from ..._xp import is_complex, is_inexact, is_traced, namespace, raw
from ...ops import arithmetic, elementwise
from ..core import rebox
from ._lift import as_array, by_backend, lifted
from .manipulation import astype


def _unary(op):
    def function(x, /):
        return op(x)

    function.op = op
    return function


_ONE = "exp expm1 log log1p log2 log10 sqrt square reciprocal sin cos tan asin acos atan sinh cosh tanh asinh acosh"
for _name in f"{_ONE} atanh negative abs real imag".split():
    globals()[_name] = _unary(getattr(elementwise, _name))
conj = _unary(elementwise.conjugate)


def positive(x, /):
    return rebox(x) if is_traced(x) else +x


def _binary(op):
    def function(x1, x2, /):
        return op(*lifted((as_array(x1, x2), as_array(x2, x1))))

    return function


for _name in "add subtract multiply divide atan2 hypot logaddexp maximum minimum".split():
    globals()[_name] = _binary(getattr(arithmetic, _name))
pow = _binary(arithmetic.power)


def remainder(x1, x2, /):
    x1, x2 = lifted((as_array(x1, x2), as_array(x2, x1)))
    if not is_inexact(x1) and not is_inexact(x2):
        return by_backend("remainder", x1, x2)
    return arithmetic.remainder(x1, x2)


def sign(x, /):
    """Constant between the kinks if real; z / |z| if complex, and 0 with the derivative 0 at 0."""
    if not is_complex(x):
        return by_backend("sign", x)
    size = elementwise.abs(x)
    zero = size == 0.0
    return where(zero, 0.0, x / where(zero, 1.0, size))


def where(condition, x1, x2, /):
    return arithmetic.where(raw(condition), *lifted((as_array(x1, x2), as_array(x2, x1))))


def clip(x, /, min=None, max=None):
    if not hasattr(min, "dtype") and not hasattr(max, "dtype"):
        return arithmetic.clip(x, low=min, high=max)
    dtype, inexact = x.dtype, is_inexact(x)
    for bound, extremum in ((min, maximum), (max, minimum)):  # noqa: F821
        if bound is not None:
            y = extremum(x, bound)
            x = where(y == x, x, y)  # at a tie, x has all of the derivative, as with bounds that are numbers
    return x if x.dtype == dtype or not inexact else astype(x, dtype)  # bounds of a wider dtype do not widen x


def nextafter(x1, x2, /):
    return arithmetic.nextafter(*lifted((as_array(x1, x2), as_array(x2, x1))))


def copysign(x1, x2, /):
    x1, x2 = lifted((as_array(x1, x2), as_array(x2, x1)))
    same = namespace(x1).signbit(x1) == namespace(x2).signbit(x2)
    return where(x1 == 0, by_backend("copysign", x1, x2), where(same, x1, -x1))
