"""The opt-in for Chainer on current NumPy and Python, each test in a process of its own; Chainer without it."""

import importlib.util
import subprocess
import sys
import types

import chainer_here
import numpy as np
import pytest

from arrmb.plugins import chainer_compat

INSTALLED = pytest.mark.skipif(importlib.util.find_spec("chainer") is None, reason="Chainer is not installed")
QUIET = "import warnings; warnings.simplefilter('ignore')\n"


def python(code, *args):
    return subprocess.run([sys.executable, "-c", QUIET + code, *args], capture_output=True, text=True, timeout=120)


def printed(code, *args):
    found = python(code, *args)
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_nothing_happens_when_arrmb_is_imported():
    code = "import arrmb, arrmb.plugins, arrmb.plugins.chainer_compat, sys, numpy; print('chainer' in sys.modules)"
    assert printed(code) == "False\n"


@INSTALLED
def test_numpy_and_modules_are_left_as_they_were():
    code = """
import sys, numpy, importlib.util
there = {n for n in ("pkg_resources", "numpy.distutils") if importlib.util.find_spec(n) is not None}
names = {n: n in vars(numpy) for n in ("sctypes", "float")}
from arrmb.plugins import chainer_compat
chainer_compat.install()
import chainer
print(chainer.__version__, all((n in vars(numpy)) == there_before for n, there_before in names.items()),
      all(n in there for n in ("pkg_resources", "numpy.distutils") if n in sys.modules))
before = dict(sys.modules)
chainer_compat.install()
print(before == sys.modules)
"""
    version, *rest = printed(code).split()
    assert version.startswith("7.") and rest == ["True", "True", "True"]


@INSTALLED
def test_after_an_import_that_failed():
    code = """
import numpy
try:
    import chainer
    print("works as it is")
except Exception as error:
    print(type(error).__name__)
from arrmb.plugins import chainer_compat
chainer_compat.install()
import chainer, chainer.functions as F
x = chainer.Variable(numpy.ones((2, 2), "f"))
F.sum(x).backward()
print(x.grad.sum(), isinstance(x, chainer.functions.sum(x).__class__))
"""
    first, *rest = printed(code).splitlines()
    assert (first == "works as it is") == chainer_here.AS_IT_IS and rest == ["4.0 True"]


@INSTALLED
def test_the_functions_that_look_for_the_names_later():
    chainer_here.import_chainer()
    if chainer_here.AS_IT_IS:
        pytest.skip("Chainer is imported as it is: F.resize_images needs numpy.float, gone since NumPy 1.24")
    import chainer
    import chainer.functions as F

    x = chainer.Variable(np.arange(32.0, dtype=np.float32).reshape(1, 2, 4, 4))
    y = F.resize_images(x, (2, 2), align_corners=False)
    y.grad = np.ones_like(y.array)
    y.backward()
    assert np.allclose(y.array[0, 0], [[2.5, 4.5], [10.5, 12.5]]) and x.grad.sum() == 8.0
    x = chainer.Variable(np.arange(4.0, dtype=np.float32))
    y = F.as_strided(x, (3, 2), (1, 1), 0)
    y.grad = np.ones_like(y.array)
    y.backward()
    assert np.array_equal(x.grad, [1.0, 2.0, 2.0, 1.0])


@INSTALLED
def test_a_script_that_stays_as_it_is(tmp_path):
    (tmp_path / "its_own_module.py").write_text("value = 7\n")
    script = tmp_path / "train.py"
    script.write_text("import sys, chainer, its_own_module; print(__name__, sys.argv[1:], its_own_module.value)\n")
    command = [sys.executable, "-W", "ignore", "-m", "arrmb.plugins.chainer_compat"]
    found = subprocess.run([*command, str(script), "--device", "-1"], capture_output=True, text=True, timeout=120)
    assert found.stdout == "__main__ ['--device', '-1'] 7\n", found.stderr
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 1 and found.stderr.startswith("usage: python -m arrmb.plugins.chainer_compat script.py")


def test_without_chainer():
    hide = "import sys; sys.modules['chainer'] = None\n"
    find = "import importlib.util as u; u.find_spec = lambda name, *a: None\n"
    cases = {
        "arrmb.plugins.chainer": "import arrmb.plugins.chainer",
        "chainer_compat": "from arrmb.plugins import chainer_compat as c; c.install()",
    }
    for name, code in cases.items():
        last = python(find + code).stderr.splitlines()[-1]
        assert last == (
            f"ImportError: {name}: Chainer is not installed: pip install 'setuptools<81' wheel, then "
            "pip install --no-build-isolation chainer==7.8.1"
        )
    assert python(hide + "import arrmb").returncode == 0


@INSTALLED
@pytest.mark.skipif(chainer_here.AS_IT_IS, reason="Chainer can be imported as it is")
def test_without_the_opt_in():
    last = python("import arrmb.plugins.chainer").stderr.splitlines()[-1]
    assert last.startswith("ImportError: arrmb.plugins.chainer: Chainer cannot be imported here (")
    assert last.endswith("first: from arrmb.plugins import chainer_compat; chainer_compat.install()")


@INSTALLED
def test_an_old_chainer(monkeypatch):
    code = """
from arrmb.plugins import chainer_compat
chainer_compat.install()
import chainer
chainer.__version__ = "6.7.0"
import arrmb.plugins.chainer
"""
    last = python(code).stderr.splitlines()[-1]
    assert last.startswith("ImportError: arrmb.plugins.chainer: Chainer 7 is needed, got 6.7.0")


def test_stand_ins():
    """What Chainer asks of them when it is imported, and what its test decorators do."""
    resources = chainer_compat._pkg_resources()
    for requirement in ("ideep4py>=2.0.0", "numpy"):
        with pytest.raises(resources.DistributionNotFound):
            resources.require(requirement)
        with pytest.raises(resources.ResolutionError):
            resources.WorkingSet().require(requirement)
    sctypes = chainer_compat._sctypes(np)
    assert np.int64 in sctypes["int"] and np.dtype("float32") in sctypes["float"]
    both = chainer_compat._with(np, float=float)
    assert both.float is float and both.ndarray is np.ndarray
    assert isinstance(both, types.ModuleType)


@INSTALLED
def test_a_cupy_without_cudnn(monkeypatch):
    """CuPy 14 has no cupy.cudnn. Chainer looks for it, does without, and need not warn; there is no GPU here."""
    chainer_here.import_chainer()
    from chainer.backends import cuda

    monkeypatch.setattr(cuda, "available", True)
    monkeypatch.setattr(cuda, "cudnn_enabled", False)
    monkeypatch.setattr(cuda, "_cudnn_disabled_by_user", False, raising=False)
    monkeypatch.setattr(cuda.check_cuda_available, "_already_warned", False, raising=False)
    with pytest.warns(UserWarning, match="cuDNN is not enabled"):
        cuda.check_cuda_available()
    monkeypatch.setattr(cuda.check_cuda_available, "_already_warned", False)
    for there in (True, False):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, there=there: "found" if there else None)
        chainer_compat._accept_cupy_without_cudnn(cuda)
        assert cuda.check_cuda_available._already_warned is not there
    cuda.check_cuda_available()
