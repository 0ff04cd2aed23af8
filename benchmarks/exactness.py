"""Error of gradients over gap sizes and condition numbers: arrmb, PyTorch, JAX and autograd against 90 digits.

``python benchmarks/exactness.py`` measures, draws ``docs/exactness_*.png`` and writes ``docs/exactness.md``: the peers
that are installed, NumPy arrays on the CPU, one thread. Takes about two minutes.
"""

import argparse
import dataclasses
import os
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import exactness_figures
import numpy as np
from exactness_cases import CONDITIONS, GAPS, ROWS, at
from exactness_page import COLUMNS, page, sci
from peers import direct, installed

DOCS = Path(__file__).parents[1] / "docs"


def collect(libraries, matrices):
    """Errors by (study, row, gap or condition number, dtype): one for each of the random matrices."""
    found = {}
    for row in ROWS:
        for dtype in ("float64", "float32"):
            for gap in GAPS:
                found["gap", row.name, gap, dtype] = [
                    at(row, row.by_gap, gap, dtype, k, libraries, dtype == "float64") for k in range(matrices)
                ]
        if row.by_condition:
            for condition in CONDITIONS:
                found["condition", row.name, condition, "float64"] = [
                    at(row, row.by_condition, condition, "float64", k, libraries) for k in range(matrices)
                ]
    return found


def collect_direct(libraries, matrices):
    """The same for functions that peers have without eigenvalues, by (name, order, gap)."""
    found = {}
    for lib in libraries:
        for row in ROWS:
            if row.name not in lib.direct:
                continue
            name, f = lib.direct[row.name]
            own = dataclasses.replace(row, peer=direct(f))
            for gap in COLUMNS:
                errors = [at(own, row.by_gap, gap, "float64", k, [lib], True) for k in range(matrices)]
                found[name, "first", gap] = [e.first[lib.name] for e in errors]
                found[name, "second", gap] = [e.second[lib.name] for e in errors]
    return found


def direct_table(found, columns):
    lines = [
        "| function | derivative | " + " | ".join(f"gap {label(c)}" for c in columns) + " |",
        "|---|---|" + "---|" * len(columns),
    ]
    for name, order in dict.fromkeys((name, order) for name, order, _ in found):
        cells = [cell(found[name, order, c]) for c in columns]
        lines.append(f"| `{name}` | {order} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary(errors):
    """Median and worst of the finite ones, and how many were NaN, and how many raised."""
    finite = [e for e in errors if e is not None and np.isfinite(e)]
    raised = sum(e is None for e in errors)
    if not finite:
        return float("nan"), float("nan"), len(errors) - raised, raised
    return float(np.median(finite)), max(finite), len(errors) - raised - len(finite), raised


def cell(errors):
    median, worst, nan, raised = summary(errors)
    if raised == len(errors):
        return "raises"
    if nan == len(errors):
        return "NaN"
    marks = [f"NaN {nan}/{len(errors)}"] * bool(nan) + [f"raises {raised}/{len(errors)}"] * bool(raised)
    return ", ".join([f"{sci(median)} ({sci(worst)})", *marks])


def label(value):
    return "0" if value == 0.0 else f"1e{round(np.log10(value))}" if value != 1.0 else "1"


def table(found, study, dtype, order, libraries, columns, rows):
    """A Markdown table: for each row and library, median and worst error in the columns."""
    head = "gap" if study == "gap" else "κ ="
    lines = [
        "| function | library | " + " | ".join(f"{head} {label(c)}" for c in columns) + " |",
        "|---|---|" + "---|" * len(columns),
    ]
    for row in rows:
        for i, library in enumerate(libraries):
            ours = library.startswith("arrmb")
            cells = []
            for c in columns:
                errors = [getattr(e, order)[library] for e in found[study, row.name, c, dtype]]
                cells.append("(no gradient)" if row.genuine and c == 0.0 and not ours else cell(errors))
            if ours:
                library = f"**{library}**"
            lines.append(f"| {'' if i else f'`{row.name}`'} | {library} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--matrices", type=int, default=5, help="random matrices for each gap")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the page and the pictures")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers divide by zero: that is the point
    libraries = installed()
    for library in libraries:
        if library.name == "PyTorch":
            library.torch.set_num_threads(1)
    start = time.perf_counter()
    found = collect(libraries, options.matrices)
    others = direct_table(collect_direct(libraries, options.matrices), COLUMNS)
    print(f"measured in {time.perf_counter() - start:.0f} s")
    options.docs.mkdir(exist_ok=True)
    exactness_figures.draw(found, [lib.name for lib in libraries], options.docs)
    text = page(found, libraries, options.matrices, table, others)
    (options.docs / "exactness.md").write_text(text)
    print(f"wrote {options.docs / 'exactness.md'} in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
