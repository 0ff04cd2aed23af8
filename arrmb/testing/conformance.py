"""The namespace of traced arrays as a module of its own, for test suites of the Array API standard.

Every floating-point array that it makes is traced by one reverse trace, as an argument of a differentiated function is.
To run the public suite (data-apis/array-api-tests) on traced arrays over NumPy, in a checkout of the suite::

    export ARRAY_API_TESTS_VERSION=2024.12 PYTHONPATH=.
    echo "import array_api_compat.numpy as np, arrmb.testing" > traced.py
    echo "xp = arrmb.testing.traced_namespace(np)" >> traced.py
    export ARRAY_API_TESTS_MODULE=traced.xp
    pytest array_api_tests
"""

import functools

from .. import tree
from .._xp import is_inexact
from ..tape.core import CONSTANT, Reverse, Traced
from ..tape.namespace import traced_over


class _Readable(Reverse):
    """A reverse trace whose arrays may be converted: a test suite reads values, and takes no derivative."""

    readable = True


class TracedModule:
    """The functions of `arrmb.namespace` over the backend ``xp``, with results that are traced."""

    def __init__(self, xp):
        self._functions = traced_over(xp)
        self._trace = _Readable()
        self.__name__ = f"arrmb traced over {xp.__name__}"
        self.__version__ = getattr(xp, "__version__", "unknown")

    def __getattr__(self, name):
        found = getattr(self._functions, name)
        if name in ("linalg", "fft"):
            return _Extension(self, found)
        return self._tracing(found) if callable(found) and not isinstance(found, type) else found

    def _tracing(self, function):
        @functools.wraps(function)
        def traced(*args, **kwargs):
            return tree.map(self._trace_one, function(*args, **kwargs))

        return traced

    def _trace_one(self, x):
        if type(x) is Traced and x.trace is CONSTANT and is_inexact(x):
            return self._trace.input(x.value)
        return x


class _Extension:
    def __init__(self, module, functions):
        self._module, self._functions = module, functions

    def __getattr__(self, name):
        return self._module._tracing(getattr(self._functions, name))


def traced_namespace(xp):
    """A stand-in for a module of traced arrays over the backend namespace ``xp``, for conformance suites.

    Parameters
    ----------
    xp : namespace
        Of the Array API standard: ``array_api_compat.numpy``, ``array_api_strict``, ...

    Returns
    -------
    object
        With the functions, constants and extensions of the standard. Its floating-point arrays are traced, and unlike
        those of a differentiated function they can be converted to numbers, as a test suite does.
    """
    return TracedModule(xp)
