"""How time grows with locations, channels and batch: exponents fitted to times, two of the three held."""

import layers
import numpy as np

SERIES = {
    "locations, 8 × n × 64": [(8, n, 64) for n in (784, 1568, 3136, 6272, 12544)],
    "channels, 4 × 784 × d": [(4, 784, d) for d in (32, 64, 128, 256, 512)],
    "batch, b × 196 × 64": [(b, 196, 64) for b in (4, 8, 16, 32, 64)],
}
VARIES = (1, 2, 0)  # which part of the size does in each
CASES = ("pooling, log",)


def growth(options, series=SERIES):
    """Rows: case, what grows, library, exponent, and the largest deviation of a time from the fitted power."""
    import argparse

    rows = []
    for (name, sizes), axis in zip(series.items(), VARIES):
        few = argparse.Namespace(**vars(options))
        few.cases, few.sizes, few.dtypes, few.modes = CASES, sizes, ["float32"], ["forward + backward"]
        few.libraries = [lib for lib in options.libraries if lib in ("arrmb", "floor", "torch")]
        few.threads, few.memory = options.threads[:1], False
        found = layers.run(few)["rows"]
        for case in CASES:
            for library in few.libraries:
                times = {row["size"][axis]: row["seconds"] for row in found if row["library"] == library}
                if len(times) > 1:
                    exponent, off = fit(times)
                    rows.append({"case": case, "series": name, "library": library, "exponent": exponent, "off": off})
    return rows


def fit(times):
    """Exponent p of t = c n^p by least squares in logarithms, and max |log t - log fit|."""
    x, y = np.log(list(times)), np.log(list(times.values()))
    p, c = np.polyfit(x, y, 1)
    return float(p), float(np.max(np.abs(y - (p * x + c))))


def table(rows):
    names = list(dict.fromkeys(row["library"] for row in rows))
    lines = [
        "Growth of the time, forward + backward, float32, fewest threads: exponent p of a fitted c n^p, and the "
        "distance of the time that is farthest from it.",
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
