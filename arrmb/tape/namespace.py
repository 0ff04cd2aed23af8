"""The Array API namespace of traced arrays: `functions`, `arrmb.linalg` and `arrmb.fft`.

Beyond the standard it has `special`, where `scipy.special` looks for a namespace's own special functions.
"""

import functools
import types

from .. import fft, linalg
from .._xp import backend_of, is_inexact, namespace, raw
from . import functions
from .core import CONSTANT, Traced, lift, rebox
from .functions import special

# Functions whose result does not depend differentiably on their arguments: computed below, returned as constants.
_CONSTANT = set(
    "all any argmax argmin argsort bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift "
    "bitwise_xor ceil count_nonzero equal floor floor_divide greater greater_equal isfinite isin isinf isnan less "
    "less_equal logical_and logical_not logical_or logical_xor nonzero not_equal round searchsorted signbit trunc "
    "broadcast_shapes empty empty_like eye ones ones_like zeros zeros_like from_dlpack".split()
)
# Functions that would depend on a traced argument, and for which there is no rule: of constants only.
_OF_CONSTANTS = {"arange"}
_DATA = set("bool pi e inf nan newaxis int8 int16 int32 int64 uint8 uint16 uint32 uint64".split())
_DATA |= set("float32 float64 complex64 complex128 finfo iinfo isdtype result_type can_cast".split())
_OF_DTYPES = set("result_type can_cast finfo iinfo".split())
_DATA |= {"__array_namespace_info__", "__array_api_version__"}


class TracedNamespace:
    """The functions of the standard for traced arrays over the backend namespace ``raw``."""

    def __init__(self, raw):
        self.raw = raw
        self.__name__ = raw.__name__  # so that array_namespace(traced, raw) finds one namespace
        self.linalg = linalg
        self.special = types.SimpleNamespace(**{n: _lifting(getattr(special, n)) for n in special.__all__})
        if hasattr(raw, "fft"):
            of_no_array = {name: getattr(raw.fft, name) for name in ("fftfreq", "rfftfreq")}
            if backend_of(raw) == "cupy":
                of_no_array = {name: _on_device(function) for name, function in of_no_array.items()}
            of_no_array = {name: _below(function) for name, function in of_no_array.items()}
            self.fft = types.SimpleNamespace(**{name: getattr(fft, name) for name in fft.__all__}, **of_no_array)

    def __repr__(self):
        return f"<namespace of traced arrays over {self.raw.__name__}>"

    def __getattr__(self, name):
        if name in functions.BY_NAME:
            function = _lifting(functions.BY_NAME[name])
        elif name in _CONSTANT or name in _OF_CONSTANTS:
            function = _below(getattr(self.raw, name), name in _OF_CONSTANTS)
        elif name in _DATA:
            function = _of_dtypes(getattr(self.raw, name)) if name in _OF_DTYPES else getattr(self.raw, name)
        else:
            raise AttributeError(
                f"no rule for {name!r}: the namespace of traced arrays does not have it"
                + (f" ({self.raw.__name__} does)" if hasattr(self.raw, name) else "")
            )
        setattr(self, name, function)
        return function

    def asarray(self, x, /, *, dtype=None, device=None, copy=None):
        if type(x) is Traced:
            if dtype is None or dtype == x.dtype:
                return rebox(x) if copy else x
            if copy is False:
                raise ValueError(f"asarray: dtype {dtype} from {x.dtype} takes a copy, and copy=False forbids one")
            return self.astype(x, dtype)
        if isinstance(x, (list, tuple)) and _holds_traced(x):
            parts = [self.asarray(v) for v in x]
            return self.asarray(self.stack(parts), dtype=dtype)
        return lift(self.raw.asarray(x, dtype=dtype, device=device, copy=copy))

    def linspace(self, start, stop, /, num, *, dtype=None, device=None, endpoint=True):
        if type(start) is not Traced and type(stop) is not Traced:
            return lift(self.raw.linspace(start, stop, num, dtype=dtype, device=device, endpoint=endpoint))
        ends = [v for v in (start, stop) if type(v) is Traced]
        if dtype is None and all(map(is_inexact, ends)):
            dtype = self.result_type(*ends)
        steps = self.raw.linspace(0.0, 1.0, num, dtype=dtype, device=device or ends[0].device, endpoint=endpoint)
        start, stop = (self.astype(v, steps.dtype) if type(v) is Traced else v for v in (start, stop))
        return start + (stop - start) * steps

    def full(self, shape, fill_value, *, dtype=None, device=None):
        if type(fill_value) is Traced:  # a 0-d array
            shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
            return self.broadcast_to(self.asarray(fill_value, dtype=dtype), shape)
        return lift(self.raw.full(shape, fill_value, dtype=dtype, device=device))

    def full_like(self, x, /, fill_value, *, dtype=None, device=None):
        if type(fill_value) is Traced:
            return self.full(x.shape, fill_value, dtype=x.dtype if dtype is None else dtype)
        return lift(self.raw.full_like(raw(x), fill_value, dtype=dtype, device=device))


def _holds_traced(x):
    return type(x) is Traced or (isinstance(x, (list, tuple)) and any(_holds_traced(v) for v in x))


def _lifting(function):
    """Results as traced arrays, so that code which takes all functions from one namespace meets one kind of array."""
    op = getattr(function, "op", None)
    if op is not None:  # a function of one array: the short way

        @functools.wraps(function)
        def of_one(x, /):
            return x.trace.run(op, (x,), {}) if type(x) is Traced else lift(op(x))

        return of_one

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        return lift(function(*args, **kwargs))

    return wrapped


def _below(function, of_constants=False):
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        if of_constants and any(_has_derivative(a) for a in (*args, *kwargs.values())):
            raise TypeError(
                f"no rule for {function.__name__!r} of a traced array: the result would have no derivative. Write it "
                "with other functions, such as start + (stop - start) * xp.linspace(0.0, 1.0, n)"
            )
        y = function(*[raw(a) for a in args], **{k: raw(v) for k, v in kwargs.items()})
        if isinstance(y, tuple):
            return type(y)(*map(lift, y)) if hasattr(y, "_fields") else tuple(map(lift, y))
        return lift(y)

    return wrapped


def _on_device(function):
    """``function`` with a device of CuPy as an argument, which array-api-compat's frequencies (1.16) do not know."""

    @functools.wraps(function)
    def wrapped(*args, device=None, **kwargs):
        import array_api_compat

        y = function(*args, **kwargs)
        return y if device is None else array_api_compat.to_device(y, device)

    return wrapped


def _has_derivative(x):
    return type(x) is Traced and x.trace is not CONSTANT and is_inexact(x)


def _of_dtypes(function):
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        return function(*[raw(a) for a in args], **kwargs)

    return wrapped


@functools.cache
def traced_over(raw):
    return TracedNamespace(raw)


Traced.__array_namespace__ = lambda self, /, *, api_version=None: traced_over(namespace(raw(self)))
