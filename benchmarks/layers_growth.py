"""How time grows with locations, channels and batch: exponents fitted to times, two of the three held."""

import argparse

import layers
import numpy as np
from layers_cases import CASES

OF_MATRICES = ("eigh", "logmh", "sqrtmh", "invsqrtmh", "cholesky")  # of channels × channels: no locations
WIDE = ("projector",)  # its result has locations × locations
LIBRARIES = ("arrmb", "floor", "torch", "jax")
LOCATIONS = [(8, n, 64) for n in (784, 1568, 3136, 6272, 12544)]
SERIES = (  # what grows, which part of a size that is, computations, sizes
    ("locations, 8 × n × 64", 1, [name for name in CASES if name not in OF_MATRICES + WIDE], LOCATIONS),
    ("locations, 8 × n × 64, n ≤ 3136", 1, WIDE, LOCATIONS[:3]),
    ("channels, 4 × 784 × d", 2, list(CASES), [(4, 784, d) for d in (32, 64, 128, 256, 512)]),
    ("batch, b × 196 × 64", 0, list(CASES), [(b, 196, 64) for b in (4, 8, 16, 32, 64)]),
)


def growth(options, series=SERIES):
    """Rows: case, what grows, library, exponent, and the largest deviation of a time from the fitted power."""
    rows = []
    few = argparse.Namespace(**vars(options))
    few.dtypes, few.modes, few.threads = ["float32"], ["forward + backward"], options.threads[:1]
    few.memory, few.json = False, None
    few.libraries = [name for name in options.libraries if name in LIBRARIES]
    for name, part, cases, sizes in series:
        few.cases, few.sizes = [case for case in cases if case in options.cases], sizes
        found = layers.run(few)["rows"] if few.cases else []
        for case in few.cases:
            for library in few.libraries:
                times = {r["size"][part]: r["seconds"] for r in found if (r["case"], r["library"]) == (case, library)}
                if len(times) == len(sizes):  # one that is absent at a size has no fit
                    exponent, off = fit(times)
                    rows.append({"case": case, "series": name, "library": library, "exponent": exponent, "off": off})
    return sorted(rows, key=lambda row: list(CASES).index(row["case"]))


def fit(times):
    """Exponent p of t = c n^p by least squares in logarithms, and max |log t - log fit|."""
    x, y = np.log(list(times)), np.log(list(times.values()))
    p, c = np.polyfit(x, y, 1)
    return float(p), float(np.max(np.abs(y - (p * x + c))))


def table(rows):
    names = list(dict.fromkeys(row["library"] for row in rows))
    lines = [
        "Growth of the time, forward + backward, float32, fewest threads: exponent p of a fitted c n^p, and the "
        "distance of the time that is farthest from it. Fixed sizes and ranges: `layers_growth.py`.",
        "",
        f"| computation | grows with | {' | '.join(names)} |",
        "|---" * (2 + len(names)) + "|",
    ]
    for case, series in dict.fromkeys((row["case"], row["series"]) for row in rows):
        cells = {
            row["library"]: f"{row['exponent']:.2f} (±{100 * row['off']:.0f} %)"
            for row in rows
            if (row["case"], row["series"]) == (case, series)
        }
        lines.append(f"| {case} | {series} | {' | '.join(cells.get(name, '–') for name in names)} |")
    return lines
