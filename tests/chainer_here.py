"""Chainer for the tests: as it is where it works so, else through the opt-in."""

import importlib.util
import sys
import warnings

import numpy
import pytest

from arrmb.plugins import chainer_compat

AS_IT_IS = (
    int(numpy.__version__.partition(".")[0]) < 2
    and sys.version_info < (3, 12)
    and importlib.util.find_spec("pkg_resources") is not None
)


def import_chainer():
    """Chainer, with the modules that tests use. Skips where it is not installed."""
    if importlib.util.find_spec("chainer") is None:
        pytest.skip("Chainer is not installed", allow_module_level=True)
    with warnings.catch_warnings():  # Chainer imports pkg_resources and numpy.distutils, which warn that they will go
        warnings.simplefilter("ignore")
        if not AS_IT_IS:
            chainer_compat.install()
        import chainer
        import chainer.gradient_check
        import chainer.testing
    return chainer
