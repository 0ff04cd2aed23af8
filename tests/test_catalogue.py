"""The catalogue of computations: its table names every function of arrmb and of the peers, and its marks are right."""

import importlib
import importlib.metadata
import re
from pathlib import Path

import numpy as np
import pytest

import arrmb

TEXT = (Path(__file__).parents[1] / "docs" / "catalogue.md").read_text()
HEAD = "computation, arrmb, torch.linalg, JAX, autograd, ChainRules.jl, DifferentiableSVD".split(", ")
ROWS = [
    [cell.strip() for cell in re.split(r" \|(?: |$)", line[2:])] for line in TEXT.splitlines() if line.startswith("| ")
]
TABLE = [row for row in ROWS[1:] if not row[0].startswith("**")]
OTHERS = set(re.findall(r"`(\w+)`", TEXT[TEXT.index("## Not in the table") :]))
VERSIONS = dict(re.findall(r"(torch|jax|autograd|scipy) ([\d.]+\d)", TEXT[: TEXT.index("ChainRules")]))


def column(name):
    return [row[HEAD.index(name)] for row in TABLE]


def marked(name):
    """Functions in a column with the mark in front of them: {"eigh": "◐", ...}; those in brackets are elsewhere."""
    found = {}
    for cell in column(name):
        cell = re.sub(r"\([^)]*\)", "", cell)
        for mark, names in re.findall(r"([●◐○])((?:[^●◐○])*)", cell):
            for f in re.findall(r"`([\w.]+)`", names):
                found[f] = found[f] if found.get(f, "○") != "○" else mark
    return found


def test_table_is_complete():
    assert ROWS[0][: len(HEAD)] == HEAD
    for row in TABLE:
        assert len([c for c in row if c]) == 9, row
        assert row[1] not in ("", "–"), f"no cell of arrmb: {row[0]}"
        assert "`" in row[1], f"neither a function nor a way out: {row[0]}"


def public(module):
    return {n for n in dir(module) if not n.startswith("_") and callable(getattr(module, n))}


def not_newer(package):
    """Whether the installed version is at most the page's: a function that came later is no mistake."""
    installed, page = importlib.metadata.version(package), VERSIONS[package]
    return [int(v) for v in re.findall(r"\d+", installed)[:3]] <= [int(v) for v in page.split(".")]


@pytest.mark.parametrize(
    "library, package, module, prefix",
    [
        ("torch.linalg", "torch", "torch.linalg", ""),
        ("JAX", "jax", "jax.numpy.linalg", ""),
        ("JAX", "jax", "jax.scipy.linalg", "scipy."),
        ("JAX", "jax", "jax.lax.linalg", "lax."),
        ("autograd", "autograd", "autograd.numpy.linalg", ""),
        ("autograd", "autograd", "autograd.scipy.linalg", "scipy."),
    ],
)
def test_no_function_of_a_peer_is_missing(library, package, module, prefix):
    pytest.importorskip(package)
    names, listed = public(importlib.import_module(module)), set(marked(library))
    if module in ("jax.scipy.linalg", "jax.lax.linalg"):  # equal names are the same functions
        names -= listed
    missing = sorted(n for n in names if prefix + n not in listed and n not in OTHERS)
    if package == "autograd" and np.lib.NumpyVersion(np.__version__) < "2.0.0":
        pytest.skip("autograd wraps what NumPy has; the table is of NumPy 2")
    if not_newer(package) and (prefix != "scipy." or package != "autograd" or not_newer("scipy")):
        assert not missing, f"{module}: {missing}"
    claimed = {n.removeprefix(prefix) for n in listed if n.startswith(prefix) and "." not in n.removeprefix(prefix)}
    if importlib.metadata.version(package).partition("+")[0] == VERSIONS[package]:
        assert claimed <= public(importlib.import_module(module)), f"{module} does not have all of {sorted(claimed)}"


def arrmb_names():
    """Function names in arrmb's column: whole `name`, and what is called inside of code."""
    for cell in column("arrmb"):
        for code in re.findall(r"`([^`]+)`", cell):
            if re.fullmatch(r"[\w.]+", code):
                yield code
            else:
                yield from re.findall(r"(?<![\w.])([A-Za-z_][\w.]*)\(", code)


@pytest.mark.parametrize("name", sorted(set(arrmb_names())))
def test_functions_of_arrmb_exist(name):
    where, _, last = name.rpartition(".")
    if where == "xp":
        xp = arrmb.namespace(np.ones(1))
        assert hasattr(xp, last)
        return
    places = {"": "arrmb.linalg", "arrmb": "arrmb", "layers": "arrmb.layers", "sparse": "arrmb.sparse"}
    assert hasattr(importlib.import_module(places[where]), last), name


def test_no_function_of_arrmb_is_missing():
    assert set(arrmb.linalg.__all__) <= set(arrmb_names())


# ---------------------------------------------------------------------------------------- marks, where they can be seen


def test_marks_of_autograd():
    """● and ◐: there is a rule; ○: there is none."""
    pytest.importorskip("autograd")
    from autograd.core import primitive_vjps

    for name, mark in marked("autograd").items():
        module = "autograd.scipy.linalg" if name.startswith("scipy.") else "autograd.numpy.linalg"
        function = getattr(importlib.import_module(module), name.removeprefix("scipy."), None)
        if function is not None and name != "norm":  # which is a function of others
            assert (function in primitive_vjps) == (mark != "○"), name


SPD = np.diag([1.0, 2.0, 3.0]) + 0.1


def weighted(xp, outputs):
    """A loss that depends on the vectors of a decomposition, too."""
    outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    total = 0.0
    for y in outputs:
        weights = xp.reshape(xp.arange(1.0, 1.0 + np.prod(tuple(y.shape))), tuple(y.shape))
        total = total + (xp.abs(y * y) * weights).sum()
    return total


def torch_gradient(name, x):
    torch = pytest.importorskip("torch")
    x = torch.tensor(x, requires_grad=True)
    loss = weighted(torch, getattr(torch.linalg, name)(x))
    return torch.autograd.grad(loss, x)[0].numpy() if loss.requires_grad else None


UNARY = (
    "cholesky cond det eig eigh eigvals eigvalsh inv matrix_norm norm pinv qr slogdet svd svdvals vector_norm".split()
)


@pytest.mark.parametrize("name", [*UNARY, "matrix_exp", "inv_ex", "cholesky_ex", "ldl_factor", "lu", "lu_factor"])
def test_marks_of_torch(name):
    """◐: NaN at a tie, finite elsewhere; ●: finite; ○: an error."""
    pytest.importorskip("torch")
    mark = marked("torch.linalg")[name]
    if mark == "○":
        with pytest.raises(RuntimeError, match="not implemented"):
            torch_gradient(name, SPD)
        return
    assert np.all(np.isfinite(torch_gradient(name, SPD)))
    if name in ("eig", "eigh", "svd"):
        assert mark == "◐"
        assert not np.all(np.isfinite(torch_gradient(name, np.eye(3))))
    elif mark == "●":
        assert np.all(np.isfinite(torch_gradient(name, np.eye(3))))


@pytest.mark.parametrize("name", [*UNARY, "scipy.sqrtm", "scipy.expm", "scipy.schur", "scipy.lu", "scipy.hessenberg"])
def test_marks_of_jax(name):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    module = jax.scipy.linalg if name.startswith("scipy.") else jax.numpy.linalg
    gradient = jax.grad(lambda x: weighted(jax.numpy, getattr(module, name.removeprefix("scipy."))(x)))
    mark = marked("JAX")[name]
    if mark == "○":
        with pytest.raises(NotImplementedError):
            gradient(SPD)
        return
    assert np.all(np.isfinite(gradient(SPD)))
    if name in ("eigh", "svd"):
        assert mark == "◐"
        assert not np.all(np.isfinite(gradient(np.eye(3))))
    elif mark == "●":
        assert np.all(np.isfinite(gradient(np.eye(3))))
