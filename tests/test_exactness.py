"""Exactness over gaps and condition numbers: the quick part of `benchmarks/exactness.py`, with hard bounds."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from exactness_cases import CONDITIONS, GAPS, ON_TORCH, ROWS, at, grouped

FLAT = [row for row in ROWS if not row.genuine]
SPLIT = next(row for row in ROWS if row.genuine)
SEED = 1


def name(value):
    return value.name if hasattr(value, "name") else f"{value:g}"


@pytest.mark.parametrize("row", FLAT, ids=name)
def test_flat_over_gaps(row):
    for gap in GAPS:
        found = at(row, row.by_gap, gap, "float64", SEED)
        assert found.first["arrmb"] <= 1e-11, gap
        assert found.second["arrmb"] <= 1e-8, gap
        assert found.first["arrmb"] <= 10 * found.floor, gap


def tensors():
    """PyTorch without its own derivatives: for arrmb on its tensors."""
    try:
        from peers import Torch

        library = Torch()
    except ImportError:
        return []
    library.gradient = library.hessian_product = None
    return [library]


@pytest.mark.parametrize("row", FLAT, ids=name)
def test_single_precision(row):
    """Within ten times the floor: on NumPy, which decomposes in double, and on PyTorch, which does not."""
    libraries = tensors()
    for gap in (0.0, 1e-16, *GAPS[8:]):  # below 1e-9, all gaps round to the same matrix
        found = at(row, row.by_gap, gap, "float32", SEED, libraries)
        assert found.first["arrmb"] <= 10 * found.floor, gap
        assert found.first.get(ON_TORCH, 0.0) <= 10 * found.floor, gap


@pytest.mark.parametrize("dtype, unit", [("float64", 1e-16), ("float32", 1e-7)])
def test_gap_at_the_split(dtype, unit):
    """The derivative grows as 1/gap, and so does rounding; where the gap is lost in rounding, an error."""
    for gap in GAPS:
        found = at(SPLIT, SPLIT.by_gap, gap, dtype, SEED)
        if gap <= unit:
            assert found.first["arrmb"] is None, gap
        elif gap >= 1e3 * unit:
            assert found.first["arrmb"] <= 10 * found.floor, gap
    x = grouped(np.random.default_rng(0), 0.0).astype(dtype)
    with pytest.raises(ValueError, match="k=2 splits a group of equal eigenvalues"):
        SPLIT.function(x)


@pytest.mark.parametrize("row", [row for row in ROWS if row.by_condition], ids=name)
def test_condition_numbers(row):
    """No worse than the condition number of the gradient, which for log and the roots is that of the matrix."""
    for condition in CONDITIONS:
        found = at(row, row.by_condition, condition, "float64", SEED)
        assert found.first["arrmb"] <= 10 * found.floor, condition


def test_exact_ties_are_exact():
    """What "gap 0" means: the matrix is the very product of its factors, in both precisions."""
    for dtype in ("float64", "float32"):
        for seed in range(3):
            rng = np.random.default_rng([seed, 7])
            x = grouped(rng, 0.0)
            assert np.array_equal(x.astype(dtype), x)
            scaled = np.rint(x * 2.0**10).astype(int).astype(object)  # exact integers
            eye = np.eye(6, dtype=int).astype(object)
            product = (scaled - 2**8 * eye).dot(scaled - 2**10 * eye).dot(scaled - 2**12 * eye)
            assert np.array_equal(scaled, x * 2.0**10)
            assert not product.any()  # its minimal polynomial has three roots: 1/4, 1 and 4


# ------------------------------------------------------------------------------------------------------- the page


def test_the_page_has_every_row_and_its_pictures():
    docs = Path(__file__).parents[1] / "docs"
    text = (docs / "exactness.md").read_text()
    for row in ROWS:
        assert text.count(f"`{row.name}`") >= (3 if row.genuine else 4), row.name
    pictures = re.findall(r"\]\((\S+\.png)\)", text)
    assert len(pictures) == 3
    for picture in pictures:
        assert (docs / picture).stat().st_size > 1e4


def test_the_command(tmp_path, monkeypatch, capsys):
    """`python benchmarks/exactness.py` from beginning to end, on a few matrices."""
    pytest.importorskip("matplotlib")
    import exactness
    import exactness_figures
    import exactness_page

    for module in (exactness, exactness_figures, exactness_page):
        for name, few in {
            "ROWS": (ROWS[0], SPLIT),
            "GAPS": (0.0, 1e-8, 1.0),
            "COLUMNS": (0.0, 1e-8, 1.0),
            "CONDITIONS": (1e2, 1e4),
        }.items():
            monkeypatch.setattr(module, name, few, raising=False)
    monkeypatch.setattr(exactness, "installed", list)  # no peers
    monkeypatch.setattr(sys, "argv", ["exactness.py", "--matrices", "1", "--docs", str(tmp_path)])
    exactness.main()
    assert "wrote" in capsys.readouterr().out
    text = (tmp_path / "exactness.md").read_text()
    assert (
        "| `logmh(x)` | **arrmb** | " in text
        and "| `top_projector(x, 2), gap at the split` | **arrmb** | raises" in text
    )
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_cells_of_the_tables():
    pytest.importorskip("matplotlib")
    from exactness import cell

    assert cell([1e-15, 3e-15, 2e-15]) == "2.0e-15 (3.0e-15)"
    assert cell([1.0, float("nan")]) == "1.0e0 (1.0e0), NaN 1/2"
    assert cell([float("nan")] * 2) == "NaN" and cell([None, None]) == "raises"
    assert cell([0.0, None]) == "0 (0), raises 1/2"
