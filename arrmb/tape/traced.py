"""Operators, attributes and conversions of the traced array: the methods that the Array API standard gives an array.

They are attached to the engine's `Traced` here, above the ops, so that the engine itself knows none of them.
"""

import operator

from .._xp import conj, device, namespace, raw, raw_key
from ..ops import arithmetic, elementwise, indexing, manipulation, matmul
from . import updates
from .core import Traced, lift, rebox

_SCALARS = (bool, int, float, complex)


def operand(self, other):
    """``other`` if it can meet ``self`` in an operation, else NotImplemented. Raises on another backend's arrays."""
    if type(other) is Traced or isinstance(other, _SCALARS):
        return other
    if isinstance(other, (list, tuple)):
        raise TypeError(f"a traced array meets arrays and numbers, got a {type(other).__name__}: xp.asarray(...) first")
    try:
        namespace(self, other)
    except TypeError as error:
        if str(error).startswith("arrays of different backends"):
            raise
        return NotImplemented
    return other


def _binary(op):
    def method(self, other):
        if type(other) is float or (type(other) is Traced and other.trace is self.trace):
            return self.trace.run(op, (self, other), {})  # the short way: the same as the last line
        if type(other) is not Traced:
            other = operand(self, other)
            if other is NotImplemented:
                return other
        return op(self, other)

    def reflected(self, other):
        if type(other) is float:
            return self.trace.run(op, (other, self), {})
        other = operand(self, other)
        if other is NotImplemented:
            return other
        return op(other, self)

    return method, reflected


def _in_place(name, method):
    """``x += y`` for ``method``, that of ``x + y``: an update, where the backend's own array has one."""

    def update(self, other):
        new = method(self, other)
        if new is NotImplemented or not hasattr(raw(self), name):  # NumPy's scalars have none: x is bound anew
            return new
        return updates.replace(self, new)

    return update


def _without_derivative(name):
    """Comparisons, integer and bit operations: the result is a constant."""

    def method(self, *others):
        others = [operand(self, other) for other in others]
        if any(other is NotImplemented for other in others):
            return NotImplemented
        return lift(getattr(raw(self), name)(*[raw(other) for other in others]))

    return method


def _refuse_conversion(target, advice, convert=None):
    def method(self, *args, **kwargs):
        if self.trace.readable:
            return convert(self.value) if convert else getattr(self.value, method.__name__)(*args, **kwargs)
        raise TypeError(f"a traced array cannot become {target}, which would cut its derivative: {advice}")

    return method


def _getattr(self, name):
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(
        f"a traced array has no attribute {name!r}. It is an array of the Array API standard: "
        f"xp = arrmb.namespace(x), then for instance xp.sum(x, axis=0), xp.reshape(x, shape), xp.exp(x)"
    )


def _len(self):
    if not self.value.shape:
        raise TypeError("len() of a 0-d array")
    return self.value.shape[0]


def _iter(self):
    if not self.value.shape:
        raise TypeError("iteration over a 0-d array")
    return iter(manipulation.unstack(self, axis=0))


def _repr(self):
    return f"Traced(level={self.trace.level}, {self.value!r})"


def _format(self, spec):
    if not spec:
        return str(self)
    if self.trace.readable:
        return format(self.value, spec)
    raise TypeError(
        f"a traced array cannot be formatted with {spec!r}: return the value from the differentiated function "
        "(has_aux=True) and format it there, or see arrmb.debug"
    )


def _install():
    def put(name, function):
        function.__name__ = name
        setattr(Traced, name, function)

    for name, op in {
        "add": arithmetic.add,
        "sub": arithmetic.subtract,
        "mul": arithmetic.multiply,
        "truediv": arithmetic.divide,
        "pow": arithmetic.power,
        "mod": arithmetic.remainder,
        "matmul": matmul.matmul,
    }.items():
        method, reflected = _binary(op)
        put(f"__{name}__", method)
        put(f"__r{name}__", reflected)
        put(f"__i{name}__", _in_place(f"__i{name}__", method))
    put("__neg__", lambda self: elementwise.negative(self))
    put("__pos__", rebox)
    put("__abs__", lambda self: elementwise.abs(self))
    put("__getitem__", lambda self, key: indexing.index(self, raw_key(key)))
    put("__setitem__", updates.setitem)
    put("__iter__", _iter)
    put("__len__", _len)
    put("__bool__", lambda self: bool(self.value))

    names = "eq ne lt le gt ge floordiv rfloordiv and rand or ror xor rxor invert lshift rlshift rshift rrshift"
    for name in names.split():
        put(f"__{name}__", _without_derivative(f"__{name}__"))
    for name in "floordiv and or xor lshift rshift".split():
        put(f"__i{name}__", _in_place(f"__i{name}__", getattr(Traced, f"__{name}__")))
    put("__hash__", lambda self: id(self))

    advice = (
        "use the functions of arrmb.namespace(x) in place of NumPy's, or return it from the differentiated function "
        "and convert the result"
    )
    for name, target in {
        "__array__": ("a NumPy array",),
        "__float__": ("a Python float", float),
        "__complex__": ("a Python complex", complex),
        "__int__": ("a Python int", int),
        "__index__": ("an index", operator.index),
        "__reduce_ex__": ("a pickle",),
    }.items():
        put(name, _refuse_conversion(target[0], advice, *target[1:]))

    to_capsule = _refuse_conversion("a DLPack capsule", advice)
    to_capsule.__name__ = "__dlpack__"

    def dlpack(self, /, *, stream=None, max_version=None, dl_device=None, copy=None):
        given = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
        return to_capsule(self, **{k: v for k, v in given.items() if v is not None})

    put("__dlpack__", dlpack)

    for name, get in {
        "shape": lambda self: self.value.shape,
        "dtype": lambda self: self.value.dtype,
        "ndim": lambda self: len(self.value.shape),
        "size": lambda self: _size(self.value.shape),
        "device": lambda self: device(self),
        "T": lambda self: manipulation.permute_dims(self, axes=(1, 0)),
        "mT": lambda self: manipulation.matrix_transpose(self),
    }.items():
        setattr(Traced, name, property(get))
    put("__copy__", lambda self: rebox(self))
    put("__deepcopy__", lambda self, memo: rebox(self))
    put("conjugate", lambda self: conj(self))
    put("to_device", lambda self, target, /, *, stream=None: manipulation.to_device(self, target=target))
    put("__dlpack_device__", lambda self: raw(self).__dlpack_device__())
    put("__getattr__", _getattr)
    put("__repr__", _repr)
    put("__format__", _format)
    Traced.__array_ufunc__ = None  # NumPy and CuPy operators defer to the reflected ones above


def _size(shape):
    n = 1
    for k in shape:
        n *= k
    return n


_install()
