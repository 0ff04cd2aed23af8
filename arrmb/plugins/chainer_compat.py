"""Chainer 7.8.1 with NumPy 2, Python 3.12 and 3.13, current setuptools and CuPy: an opt-in, before Chainer is imported.

    from arrmb.plugins import chainer_compat

    chainer_compat.install()
    import chainer

or, for a script that stays as it is, ``python -m arrmb.plugins.chainer_compat train_mnist.py --device -1``.

Chainer's last release looks for a few names that are gone. `install` imports Chainer with stand-ins for those that are
missing here, and takes the stand-ins away again: NumPy and ``sys.modules`` are left as they were, and what Chainer
needs later is kept in Chainer's own modules.

    =====================  ==============  ===========================================================================
    name                   gone since      what Chainer does with it, and what it does now
    =====================  ==============  ===========================================================================
    ``numpy.sctypes``      NumPy 2.0       the dtypes of a kind, in `chainer.functions.as_strided`: as before
    ``numpy.float``        NumPy 1.24      Python's float, in `chainer.functions.resize_images`: as before
    ``numpy.distutils``    Python 3.12     warns of Accelerate on a Mac: no warning
    ``pkg_resources``      setuptools 81   warns of unsuitable versions of CuPy and iDeep: no warning;
                                           `chainer.testing.with_requires` skips
    ``cupy.cudnn``         CuPy 14         cuDNN, by Chainer's own test for it: Chainer's own kernels, no warning
    =====================  ==============  ===========================================================================

A name that is there is used as it is; where all are there, `install` is ``import chainer``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import types


def install():
    """Import Chainer with the names that it misses. Does nothing if Chainer has been imported already.

    Raises
    ------
    ImportError
        Chainer is not installed.
    """
    if "chainer" in sys.modules:
        return
    if importlib.util.find_spec("chainer") is None:
        raise ImportError(
            "chainer_compat: Chainer is not installed: pip install 'setuptools<81' wheel, then "
            "pip install --no-build-isolation chainer==7.8.1"
        )
    for name in [m for m in sys.modules if m.startswith(("chainer.", "chainermn.", "chainerx."))]:
        del sys.modules[name]  # of an import that failed; they refer to the module that it left half made
    import numpy

    with contextlib.ExitStack() as stack:
        if importlib.util.find_spec("pkg_resources") is None:
            stack.enter_context(_modules(pkg_resources=_pkg_resources()))
        if importlib.util.find_spec("numpy.distutils") is None:
            distutils = types.ModuleType("numpy.distutils")
            distutils.system_info = types.ModuleType("numpy.distutils.system_info")
            distutils.system_info.get_info = lambda name: {}
            names = {"numpy.distutils": distutils, "numpy.distutils.system_info": distutils.system_info}
            stack.enter_context(_modules(**names))
            stack.enter_context(_attribute(numpy, "distutils", distutils))
        sctypes = None
        if "sctypes" not in vars(numpy):
            sctypes = _sctypes(numpy)
            stack.enter_context(_attribute(numpy, "sctypes", sctypes))
        importlib.import_module("chainer.testing")  # it takes names from pkg_resources as well
    if sctypes is not None:
        sys.modules["chainer.functions.array.as_strided"].np = _with(numpy, sctypes=sctypes)
    if "float" not in vars(numpy):
        resize = sys.modules["chainer.functions.array.resize_images"]
        old = resize.compute_indices_and_weights
        its_globals = {**vars(resize), "numpy": _with(numpy, float=float)}
        resize.compute_indices_and_weights = types.FunctionType(old.__code__, its_globals, old.__name__)
    _accept_cupy_without_cudnn(sys.modules["chainer.backends.cuda"])


def _accept_cupy_without_cudnn(cuda):
    """No warning that asks to reinstall CuPy with cuDNN, where there is no such CuPy."""
    if cuda.available and not cuda.cudnn_enabled and importlib.util.find_spec("cupy.cudnn") is None:
        cuda.check_cuda_available._already_warned = True


@contextlib.contextmanager
def _modules(**stand_ins):
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


@contextlib.contextmanager
def _attribute(module, name, value):
    setattr(module, name, value)
    try:
        yield
    finally:
        delattr(module, name)


def _with(module, **names):
    """A module that has ``names`` and everything that ``module`` has."""
    both = types.ModuleType(module.__name__)
    both.__getattr__ = lambda name: getattr(module, name)
    vars(both).update(names)
    return both


def _sctypes(numpy):
    """What `numpy.sctypes` was: the scalar types of each kind."""
    kinds = {
        "int": "int8 int16 int32 int64",
        "uint": "uint8 uint16 uint32 uint64",
        "float": "float16 float32 float64 longdouble",
        "complex": "complex64 complex128 clongdouble",
    }
    found = {kind: [getattr(numpy, name) for name in names.split()] for kind, names in kinds.items()}
    return found | {"others": [bool, object, bytes, str, numpy.void]}


def _pkg_resources():
    """Of `pkg_resources`, what Chainer imports: a check of versions that finds nothing, and says nothing."""
    module = types.ModuleType("pkg_resources")

    class ResolutionError(Exception):
        pass

    class DistributionNotFound(ResolutionError):
        pass

    class VersionConflict(ResolutionError):
        pass

    def require(*requirements):
        raise DistributionNotFound(*requirements)

    class WorkingSet:
        def require(self, *requirements):
            require(*requirements)

    for thing in (ResolutionError, DistributionNotFound, VersionConflict, WorkingSet, require):
        setattr(module, thing.__name__, thing)
    return module


def main():
    """``python -m arrmb.plugins.chainer_compat script.py arguments``: run a script of Chainer as it is."""
    import pathlib
    import runpy

    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit("usage: python -m arrmb.plugins.chainer_compat script.py [arguments]")
    del sys.argv[0]
    install()
    sys.path[0] = str(pathlib.Path(sys.argv[0]).resolve().parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
