"""What every op and every public matrix function must have: rules, derivation, source, domain, test, documentation."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import arrmb
import arrmb.ops

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CATALOGUE = (ROOT / "docs" / "catalogue.md").read_text()
MODULES = {m.name: importlib.import_module(f"arrmb.ops.{m.name}") for m in pkgutil.iter_modules(arrmb.ops.__path__)}


def ops_of(module):
    """Ops that a file makes: by the name of the variable. (Files may import those of others.)"""
    tree = ast.parse(inspect.getsource(module))
    imported = {a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    return {k: v for k, v in vars(module).items() if isinstance(v, arrmb.Op) and k not in imported}


OPS = {name: found for name, module in MODULES.items() if (found := ops_of(module))}
PAIRS = [(file, op) for file, ops in OPS.items() for op in ops]
SHOWN = [(file, op) for file, op in PAIRS if not op.startswith("_")]  # others are parts of an op, checked through it


def test_the_registry_sees_ops():
    assert {"eigh", "svd", "spectral", "qr"} <= set(OPS)
    assert {"spectral", "frechet", "frechet2"} == set(OPS["spectral"])
    assert len(PAIRS) >= 90


@pytest.mark.parametrize("file, variable", PAIRS, ids=lambda v: v)
def test_three_parts(file, variable):
    """forward; a variation and an adjoint, each one function or one for each array argument."""
    op = OPS[file][variable]
    assert isinstance(op.name, str) and callable(op.forward)
    for rule in (op.variation, op.adjoint):
        parts = rule if isinstance(rule, tuple) else (rule,)
        assert parts and any(callable(part) for part in parts)
        assert all(part is None or callable(part) for part in parts)
    if isinstance(op.variation, tuple) and isinstance(op.adjoint, tuple):  # differentiable in the same arguments
        assert [part is None for part in op.variation] == [part is None for part in op.adjoint]


@pytest.mark.parametrize("file", OPS)
def test_derivation_source_and_domain(file):
    """The docstring: what the op is, formulas, where they are from, where they hold; in this order."""
    doc = MODULES[file].__doc__
    title, _, rest = doc.partition("\n\n")
    assert title.strip()
    source, domain = doc.find("\nSource: "), doc.find("\nDomain: ")
    assert 0 < source < domain, "Source: and Domain: begin a line each, in this order"
    derivation = rest[: source - len(title)]
    assert re.search(r"^    \S.*", derivation, re.M), "formulas are indented by four spaces"
    assert len(doc[source:domain].split()) > 5 and len(doc[domain:].split()) > 5


@pytest.mark.parametrize("file, variable", SHOWN, ids=lambda v: v)
def test_checked_by_a_test_of_the_same_name(file, variable):
    """The test file runs `check` (that is, `check_op`) and mentions the op."""
    path = ROOT / "tests" / "ops" / f"test_{file}.py"
    assert path.exists()
    tree = ast.parse(path.read_text())
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert called & {"check", "check_real", "check_op"}, f"{path.name} checks nothing"
    mentioned = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    mentioned |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    for n in ast.walk(tree):
        if isinstance(n, ast.Constant) and isinstance(n.value, str):
            mentioned |= set(re.findall(r"\w+", n.value))
    assert {variable, OPS[file][variable].name} & mentioned, f"{path.name} does not know {variable}"


@pytest.mark.parametrize("file", OPS)
def test_readme_row(file):
    """A row of the README's table links the file and its test, and names every op in it."""
    rows = [line for line in README.splitlines() if f"(arrmb/ops/{file}.py)" in line]
    assert len(rows) == 1, f"no row of README.md links arrmb/ops/{file}.py"
    assert f"(tests/ops/test_{file}.py)" in rows[0]
    missing = [op for f, op in SHOWN if f == file and f"`{OPS[f][op].name}`" not in rows[0]]
    assert not missing, f"README.md does not name {missing}"


# ------------------------------------------------------------------------------------------------- public functions


@pytest.mark.parametrize("name", arrmb.linalg.__all__)
def test_documentation_of_public_functions(name):
    """numpydoc: all sections, in order, and every parameter."""
    function = getattr(arrmb.linalg, name)
    doc = inspect.getdoc(function)
    assert doc, "no docstring"
    sections = re.split(r"^(\w+)\n-+\n", doc, flags=re.M)
    found = dict(zip(sections[1::2], sections[2::2]))
    for section in ("Parameters", "Returns", "Raises", "Notes"):
        assert found.get(section, "").strip(), f"{name}: no section {section}"
    order = [s for s in sections[1::2] if s in ("Parameters", "Returns", "Raises", "Notes")]
    assert order == ["Parameters", "Returns", "Raises", "Notes"]
    documented = set(re.findall(r"\w+", " ".join(re.findall(r"^(\S.*?) : ", found["Parameters"], re.M))))
    for parameter in inspect.signature(function).parameters:
        assert parameter in documented, f"{name}: parameter {parameter} is not documented"
    assert re.search(r"array", found["Parameters"]) and re.search(r"Error", found["Raises"])


@pytest.mark.parametrize("name", arrmb.linalg.__all__)
def test_mentioned_to_users(name):
    assert f"`{name}" in CATALOGUE
