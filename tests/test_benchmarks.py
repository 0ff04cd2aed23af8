"""`benchmarks/layers.py` from beginning to end on tiny sizes, and its guard."""

import contextlib
import json
import os
import sys
from unittest import mock

import numpy as np
import pytest

pytest.importorskip("tqdm")
import layers
import layers_growth
import layers_guard
import layers_report
from layers_cases import CASES
from layers_common import Absent
from layers_libraries import LIBRARIES
from layers_workers import Missing, Session, Worker, cores

import arrmb

SIZE = (2, 9, 4)


def installed(*names):
    for name in names:
        pytest.importorskip(name)


def has(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True


def options(*arguments):
    return layers.options_of(["--sizes", "2x9x4", "--threads", "1", "--rounds", "1", "--seconds", "0", *arguments])


# --------------------------------------------------------------------------------------------------- the computations


@pytest.fixture(scope="module")
def sessions():
    """A session per library that is installed, in this process, which then is as it was."""
    found = {}
    with mock.patch.dict(os.environ):
        double = has("jax") and __import__("jax").config.jax_enable_x64
        for name in LIBRARIES:
            if name != "torch.compile":
                with contextlib.suppress(Absent):
                    found[name] = Session(name, "numpy", "cpu", 1)
        yield found
    if "jax" in found:
        found["jax"].lib.jax.config.update("jax_enable_x64", double)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", list(CASES))
def test_all_libraries_compute_the_same(case, dtype, sessions):
    expected = sessions["arrmb"].prepare(case, SIZE, dtype)
    assert all(np.all(np.isfinite(y)) and np.any(y) for y in expected)
    assert {y.dtype for y in expected} == {np.dtype(dtype)}
    for name, session in sessions.items():
        found = session.prepare(case, SIZE, dtype)
        if name != "floor":
            tolerance = {"float32": 2e-4, "float64": 1e-10}[dtype]  # tiny sizes, wide gaps
            tolerance = max(tolerance, 1e-3 if case == "training step" else 0.0)
            assert layers.difference(found, expected) <= tolerance, name
        for mode in layers.MODES:
            assert session.turn(mode, 1, "wall") > 0.0


@pytest.mark.parametrize("case", [case for case in CASES if case != "training step"])
def test_floors_have_the_shapes_of_the_results(case, sessions):
    """The same matrices are multiplied: outputs and gradients of the floor have the shapes of arrmb's."""
    shapes = {}
    for name in ("arrmb", "floor"):
        lib = sessions[name].lib
        calls = CASES[case].calls(lib, SIZE, "float64")
        outputs, gradient = calls["forward + backward"]()
        shapes[name] = [y.shape for y in (*lib.get(outputs), *lib.get(gradient))]
    if case == "normalized cuts":  # the loss is a sum over what the floor ends with
        assert shapes["floor"][-1] == shapes["arrmb"][-1]
    else:
        assert shapes["floor"] == shapes["arrmb"]


def test_the_floor_decomposes():
    from layers_floors import decompose

    for dtype, bound in (("float32", 1e-5), ("float64", 1e-13)):
        x = np.random.default_rng(0).standard_normal((3, 5, 5)).astype(dtype)
        x = x + np.swapaxes(x, 1, 2)
        before = x.copy()
        w, v = decompose(x)
        assert w.dtype == v.dtype == x.dtype and np.array_equal(x, before)
        assert np.max(np.abs((v * w[:, None, :]) @ np.swapaxes(v, 1, 2) - x)) < bound


def test_memory_of_a_call(sessions):
    if not sys.platform.startswith("linux"):
        pytest.skip("resident memory is read from Linux's /proc")
    for name in {"arrmb", "torch"} & set(sessions):
        mb = sessions[name].lib.memory(lambda: np.ones(2**21).sum()) / 2**20
        assert 15.0 < mb < 24.0, name


# --------------------------------------------------------------------------------------------------------- the command


def test_the_command(tmp_path):
    """Processes, rounds, JSON, page and plot, with the peers that are installed; no row is missing."""
    pytest.importorskip("matplotlib")
    names = [name for name in ("arrmb", "floor", "torch", "autograd") if name in ("arrmb", "floor") or has(name)]
    chosen = ["--cases", "pooling, log", "training step", "--libraries", *names, "--memory"]
    found = layers.run(options(*chosen), progress=False)
    assert found["absent"] == {} and set(found["versions"]) == set(names)
    assert len(found["rows"]) == 2 * 2 * 2 * len(names)  # cases, dtypes, modes
    assert all(0.0 < row["low"] <= row["seconds"] <= row["high"] < 5.0 for row in found["rows"])
    assert all(row["threads"] == 1 and row["rounds"] == 3 for row in found["rows"])
    found["machine"] = layers_report.machine(options("--machine", "here"))
    found["growth"] = [{"case": "pooling, log", "series": "batch", "library": "arrmb", "exponent": 1.0, "off": 0.1}]
    layers_report.write(found, tmp_path)
    page = (tmp_path / "RESULTS.md").read_text()
    assert page.count("| pooling, log | float32 | 1 | forward + backward |") == 1
    assert page.count("| training step | 2×9×4 | float64 | 1 | forward + backward |") == 1
    assert "| pooling, log | batch | 1.00 (±10 %) |" in page
    assert (tmp_path / "results/here.png").stat().st_size > 1e4
    written = json.loads((tmp_path / "results/here.json").read_text())
    assert set(written) == set(found) and len(written["rows"]) == len(found["rows"])
    for row, expected in zip(written["rows"], json.loads(json.dumps(found["rows"]))):
        measured = {key: pytest.approx(v, rel=1e-3) if isinstance(v, float) else v for key, v in expected.items()}
        assert row == measured


def test_one_comparison_in_words(capsys):
    installed("torch")
    layers.main("--cases logmh --sizes 2x9x4 --dtypes float64 --threads 1 --libraries arrmb torch --seconds 0".split())
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| logmh | 2×9×4 |"))
    assert "forward" in line and "×" in line and "ms" not in line


def test_a_library_that_differs_is_not_timed(monkeypatch):
    class Fake:
        def __init__(self, *values):
            self.values = values

        def prepare(self, *case):
            return [np.asarray(self.values)]

    found = {"arrmb": Fake(1.0, 2.0), "torch": Fake(1.0, 2.0 + 1e-9), "jax": Fake(1.0, float("nan"))}
    ready, reasons = layers.prepare(found, "logmh", SIZE, "float64")
    assert list(ready) == ["arrmb", "torch"] and "not timed" in reasons["jax"]

    class Failing:
        def prepare(self, *case):
            raise RuntimeError("a traceback\nValueError: no such function")

    _, reasons = layers.prepare({**found, "autograd": Failing()}, "logmh", SIZE, "float64")
    assert reasons["autograd"] == "ValueError: no such function"
    with pytest.raises(RuntimeError):
        layers.prepare({"arrmb": Failing()}, "logmh", SIZE, "float64")
    with pytest.raises(SystemExit, match="torch and arrmb differ"):
        layers.prepare({"arrmb": Fake(1.0), "torch": Fake(1.1)}, "logmh", SIZE, "float64")


def test_what_is_absent_is_said_in_words():
    with pytest.raises(Missing, match="autograd has no GPU arrays"):
        Worker("autograd", "cupy", "cuda", 1)
    if not has("cupy"):
        with pytest.raises(Missing, match="cupy is not installed"):
            Worker("arrmb", "cupy", "cuda", 1)


def test_a_worker_has_its_threads():
    installed("torch")
    worker = Worker("torch", "numpy", "cpu", 1)
    try:
        assert worker.threads() == 1
    finally:
        worker.close()
    assert len(cores()) >= 1


def test_growth():
    """Exponents of exact powers, and a run over tiny sizes."""
    exponent, off = layers_growth.fit({n: 3.0 * n**2.5 for n in (4, 8, 16)})
    assert abs(exponent - 2.5) < 1e-12 and off < 1e-12
    few = options("--libraries", "arrmb", "floor")
    series = [
        ("channels, 2 × 12 × d", 2, ["pooling, log", "svd"], [(2, 12, 3), (2, 12, 6)]),
        ("locations, 2 × n × 3", 1, ["pooling, log"], [(2, 6, 3), (2, 12, 3)]),
    ]
    rows = layers_growth.growth(few, series)
    assert [row["case"] for row in rows] == 4 * ["pooling, log"] + 2 * ["svd"]
    assert [row["library"] for row in rows] == 3 * ["arrmb", "floor"]
    assert all(np.isfinite(row["exponent"]) for row in rows)
    assert "| pooling, log | locations, 2 × n × 3 |" in "\n".join(layers_growth.table(rows))


# ----------------------------------------------------------------------------------------------------------- the guard


def _record(folder, recorded):
    path = folder / "recorded.json"
    path.write_text(json.dumps(recorded))
    return path


def guarded(tmp_path, measured, recorded=None, machine="here", record=False):
    """The exit status of the guard with the measurements, one after the other."""
    path = _record(tmp_path, {"here": {"a": 2.0, "b": 1.0}} if recorded is None else recorded)
    results = iter(measured)
    chosen = layers.options_of(["--quick", "--machine", machine, *(["--record"] if record else [])])
    status = layers_guard.guard(chosen, lambda names: next(results), path)
    return status, json.loads(path.read_text())


def test_the_guard_passes_and_fails(tmp_path, capsys):
    assert guarded(tmp_path, [{"a": 1.51, "b": 5.0}])[0] == 0
    assert guarded(tmp_path, [{"a": 1.49, "b": 1.0}, {"a": 1.6}])[0] == 0  # a bad moment
    assert "again: a" in capsys.readouterr().out
    assert guarded(tmp_path, [{"a": 1.49, "b": 1.0}, {"a": 1.48}])[0] == 1
    assert "arrmb has become slower: a." in capsys.readouterr().out
    assert guarded(tmp_path, [{"a": float("nan"), "b": 1.0}, {"a": float("nan")}])[0] == 1
    assert guarded(tmp_path, [{"a": 1.0}], recorded={})[0] == 1  # nothing to hold it to


def test_the_guard_on_another_machine(tmp_path, capsys):
    recorded = {"one": {"a": 2.0}, "two": {"a": 1.0, "b": 3.0}}
    assert guarded(tmp_path, [{"a": 0.8, "b": 3.0}], recorded, "three")[0] == 0
    assert guarded(tmp_path, [{"a": 0.7, "b": 3.0}] * 2, recorded, "three")[0] == 1
    assert "no record" in capsys.readouterr().out
    assert guarded(tmp_path, [{"a": 1.6, "b": 2.0}], recorded, "one")[0] == 0  # of b it has no record of its own
    assert "none" in capsys.readouterr().out


def test_the_guard_records(tmp_path):
    names = [*(layers_guard.name_of(*cell) for cell in layers_guard.CELLS), layers_guard.ENGINE]
    status, recorded = guarded(
        tmp_path, [dict.fromkeys(names, 2.0), dict.fromkeys(names, 1.5)], machine="x", record=True
    )
    assert status == 0 and recorded["x"] == dict.fromkeys(names, 1.5) and "here" in recorded


def test_the_recorded_ratios_are_those_that_are_measured():
    names = {*(layers_guard.name_of(*cell) for cell in layers_guard.CELLS), layers_guard.ENGINE}
    recorded = json.loads(layers_guard.RECORDED.read_text())
    assert names == set().union(*recorded.values())


def test_the_guard_sees_a_slower_library(monkeypatch, tmp_path, capsys):
    """Real measurements: arrmb held to its own ratio, and to one that is far higher, as if it had become slower."""
    installed("torch")
    cells = (("logmh", SIZE, "float64"),)
    monkeypatch.setattr(layers_guard, "CELLS", cells)
    name = layers_guard.name_of(*cells[0])

    def measure(names):
        return layers_guard.measure([n for n in names if n == name], cells, rounds=3)

    ratio = measure([name])[name]
    assert 0.01 < ratio < 100.0
    assert guarded(tmp_path, [{name: ratio}], {"here": {name: ratio}})[0] == 0
    chosen = layers.options_of(["--quick", "--machine", "here"])
    status = layers_guard.guard(chosen, measure, _record(tmp_path, {"here": {name: 100.0 * ratio}}))
    assert status == 1 and f"slower: {name}" in capsys.readouterr().out


def test_versions_are_those_of_the_libraries(sessions):
    assert sessions["arrmb"].lib.version == f"{arrmb.__version__} on NumPy {np.__version__}"


@pytest.mark.parametrize(
    "vendor, family, model, name, expected",
    [
        ("AuthenticAMD", 26, 2, "AMD EPYC", "AMD EPYC, Zen 5"),
        ("AuthenticAMD", 25, 17, "AMD EPYC", "AMD EPYC, Zen 4"),
        ("AuthenticAMD", 25, 1, "AMD EPYC", "AMD EPYC, Zen 3"),
        ("AuthenticAMD", 23, 49, "AMD EPYC 7742", "AMD EPYC 7742"),
        ("GenuineIntel", 6, 143, "Intel(R) Xeon(R) Processor", "Intel Xeon Processor"),
    ],
)
def test_name_of_the_processor(vendor, family, model, name, expected):
    """A virtual machine says "AMD EPYC" of processors of several generations, whose ratios differ."""
    text = f"vendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: {name}\nstepping\t: 1\n"
    assert layers_report.processor_name(text) == expected
