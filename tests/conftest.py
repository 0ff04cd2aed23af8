"""Fixtures over backends and dtypes, and the table of the adjoint identity that the run ends with."""

import collections
import functools
import json
import types

import numpy as np
import pytest

from arrmb import _batched, _lapack, _threads
from arrmb.testing import backends, check_op

DTYPES = ("float64", "complex128", "float32", "complex64")
BACKENDS = {backend.name: backend for backend in backends()}
MISSING = {
    "numpy": "NumPy",
    "strict": "array-api-strict is not installed",
    "torch": "PyTorch is not installed",
    "cupy": "CuPy with a GPU is not here; array-api-strict on its second device stands in for it",
}
_identities = {}


def _backend(name):
    if name not in BACKENDS:
        pytest.skip(MISSING[name])
    return BACKENDS[name]


@pytest.fixture
def rng():
    """The same numbers in every test, whichever tests ran before it."""
    return np.random.default_rng(0)


@pytest.fixture(params=list(MISSING))
def backend(request):
    """Each backend that can be used here."""
    return _backend(request.param)


@pytest.fixture(params=[(name, dtype) for name in MISSING for dtype in DTYPES], ids=lambda p: "-".join(p))
def check(request):
    """`check_op` on each backend and dtype. Tests of real functions ask for `check_real`."""
    return _checker(*request.param)


@pytest.fixture(params=[(name, dtype) for name in MISSING for dtype in DTYPES[::2]], ids=lambda p: "-".join(p))
def check_real(request):
    """`check_op` on each backend and real dtype."""
    return _checker(*request.param)


def _checker(name, dtype):
    backend = _backend(name)

    @functools.wraps(check_op)
    def run(op, inputs, **options):
        worst = check_op(op, inputs, backend=backend, dtype=dtype, **options)
        key = (op.name, name, dtype)
        _identities[key] = max(worst, _identities.get(key, 0.0))

    run.dtype, run.backend = dtype, backend
    return run


def pytest_addoption(parser):
    parser.addoption("--identity-table", metavar="FILE", help="write the adjoint identity's violations as JSON")
    parser.addoption(
        "--paths",
        choices=["usual", "threads", "plain"],
        default="usual",
        help="on NumPy: three threads for every batch, however small; or NumPy's public functions, and one thread",
    )


def _always_three_threads(patch):
    blas = types.SimpleNamespace(num_threads=3, set_num_threads=lambda threads: None)
    patch.setattr(_threads, "_libraries", lambda scipy: [blas])
    patch.setattr(_threads, "SHARE", 1e-3)
    patch.setattr(_threads, "ALONE", 0)
    patch.setattr(_threads, "BLOCK", 4)


@pytest.fixture(autouse=True, scope="session")
def paths(request):
    """All tests on the fast paths, or on none of them (`make test-paths`)."""
    chosen = request.config.getoption("--paths")
    with pytest.MonkeyPatch.context() as patch:
        if chosen == "threads":
            _always_three_threads(patch)
        elif chosen == "plain":
            patch.setattr(_threads, "_libraries", lambda scipy: [])
            patch.setattr(_batched, "_loops", lambda: None)
            patch.setattr(_lapack, "has_scipy", lambda: False)
        yield chosen


@pytest.fixture
def three_threads(monkeypatch):
    """As if BLAS had three threads, and every batch were worth them."""
    _always_three_threads(monkeypatch)


def pytest_sessionfinish(session):
    """With several processes (pytest-xdist), hand what was measured here to the one that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["identities"] = [[*k, v] for k, v in _identities.items()]


def pytest_configure(config):
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_Collector())


class _Collector:
    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node, error):
        for *key, worst in getattr(node, "workeroutput", {}).get("identities", []):
            _identities[tuple(key)] = max(worst, _identities.get(tuple(key), 0.0))


def pytest_terminal_summary(terminalreporter, config):
    line = terminalreporter.write_line
    reasons = collections.Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    for reason, count in reasons.most_common():
        line(f"{count} {reason}")
    if not _identities:
        return
    line(f"adjoint identity, largest relative violation over {len({k[0] for k in _identities})} ops:")
    for name in BACKENDS:
        cells = []
        for dtype in DTYPES:
            found = {k[0]: v for k, v in _identities.items() if k[1:] == (name, dtype)}
            if found:
                worst = max(found, key=found.get)
                cells.append(f"{dtype} {found[worst]:.1e} ({worst})")
        if cells:
            line(f"  {name}: " + ", ".join(cells))
    path = config.getoption("--identity-table")
    if path:
        rows = [[*k, v] for k, v in sorted(_identities.items())]
        with open(path, "w") as file:
            json.dump(rows, file, indent=0)
