"""The pictures of `exactness.py`: one panel per function, error over gap or condition number, both logarithmic."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from exactness_cases import CONDITIONS, GAPS, ON_TORCH, ROWS
from matplotlib.ticker import FixedLocator, NullLocator

# Okabe and Ito's colours, told apart by the colour-blind; markers differ too
STYLE = {
    "arrmb": {"color": "#0072B2", "marker": "o", "linewidth": 2.0, "zorder": 6},
    "arrmb, 2nd order": {"color": "#56B4E9", "marker": "o", "linewidth": 1.4, "zorder": 5, "markerfacecolor": "white"},
    ON_TORCH: {"color": "#56B4E9", "marker": "o", "linewidth": 1.6, "zorder": 5},
    "PyTorch": {"color": "#D55E00", "marker": "^", "linewidth": 1.1, "zorder": 4},
    "JAX": {"color": "#009E73", "marker": "s", "linewidth": 1.1, "zorder": 3},
    "autograd": {"color": "#CC79A7", "marker": "D", "linewidth": 1.1, "zorder": 2, "markersize": 4.6},
}
FLOOR = {"color": "0.35", "linestyle": (0, (1, 1.5)), "linewidth": 1.2, "zorder": 1}
TIE = 10.0**-17.6  # where the axis of gaps, being logarithmic, has its 0


def position(value):
    return TIE if value == 0.0 else value


def series(found, study, row, dtype, name):
    """Positions, medians, worst, and numbers of NaN and of raised errors, of one curve."""
    order, library = ("second", "arrmb") if name == "arrmb, 2nd order" else ("first", name)
    points = []
    for value in GAPS if study == "gap" else CONDITIONS:
        if row.genuine and value == 0.0 and not name.startswith("arrmb"):
            continue  # no gradient exists
        errors = [getattr(e, order)[library] for e in found[study, row.name, value, dtype]]
        finite = [e for e in errors if e is not None and np.isfinite(e)]
        raised = sum(e is None for e in errors)
        points.append(
            (
                position(value),
                max(np.median(finite), 1e-300) if finite else np.nan,
                max(finite) if finite else np.nan,
                len(errors) - len(finite) - raised,
                raised,
            )
        )
    return np.asarray(points, dtype=float).T


def curve(ax, found, study, row, dtype, name, bottom, strip, lane):
    """One library's median, shaded up to its worst; ``lane``, -1 to 1, is its height in the strips."""
    x, median, worst, nan, raised = series(found, study, row, dtype, name)
    style = {"markersize": 3.2, "markeredgewidth": 0.8, **STYLE[name]}
    marks = {k: v for k, v in style.items() if k not in ("linewidth", "zorder")}
    median, worst = (np.clip(v, bottom, strip[0] / 1.5) for v in (median, worst))
    inside = x > 1e-17  # not the exact tie, which stands apart
    ax.plot(x[inside], median[inside], **style)
    ax.plot(x[~inside], median[~inside], linestyle="none", zorder=style["zorder"], **marks)
    ax.fill_between(x[inside], median[inside], worst[inside], color=style["color"], alpha=0.16, linewidth=0)
    for count, y in ((nan, strip[1]), (raised, strip[2])):
        where = x[count > 0]
        ax.plot(where, np.full(len(where), y * strip[3] ** lane), linestyle="none", zorder=7, **marks)


def axes(ax, study, bottom, strip, raises):
    top = strip[0] if study == "condition" else strip[2] * strip[1] / strip[0] if raises else strip[1] ** 2 / strip[0]
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(bottom, top)
    if study == "gap":
        ax.axhspan(strip[0], top, color="0.94", linewidth=0, zorder=0)
        ax.axhline(strip[0], color="0.6", linewidth=0.6)
    ticks = [10.0**k for k in range(-16, 3, 4)] if bottom < 1e-10 else [10.0**k for k in range(-8, 3, 2)]
    ticks = [t for t in ticks if bottom <= t < strip[0]]
    names = [rf"$10^{{{round(np.log10(t))}}}$" if t != 1.0 else "1" for t in ticks]
    where = [*ticks, strip[1], strip[2]][: len(ticks) + (study == "gap") + raises]
    ax.yaxis.set_major_locator(FixedLocator(where))
    ax.set_yticklabels([*names, "NaN", "raises"][: len(where)])
    ax.yaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_locator(NullLocator())
    if study == "gap":
        ax.set_xlim(10.0**-18.3, 10.0**0.5)
        ax.axvspan(10.0**-18.3, 10.0**-16.8, color="0.97", linewidth=0, zorder=0)
        ax.xaxis.set_major_locator(FixedLocator([TIE, 1e-12, 1e-8, 1e-4, 1.0]))
        ax.set_xticklabels(["0", *(rf"$10^{{{k}}}$" for k in (-12, -8, -4)), "1"])
    else:
        ax.set_xlim(10.0**0.5, 10.0**12.5)
        ax.xaxis.set_major_locator(FixedLocator([1e1, 1e4, 1e8, 1e12]))
    ax.tick_params(labelsize=8, length=2.5, width=0.6)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.grid(axis="y", color="0.9", linewidth=0.5, zorder=0)
    ax.set_axisbelow(True)


def key(ax, names, study, floor):
    """The last panel: which curve is which."""
    ax.set_axis_off()
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    y = 0.96
    for name in names:
        style = {"markersize": 4.5, "markeredgewidth": 0.9, **STYLE[name]}
        ax.plot([0.02, 0.11, 0.2], [y] * 3, **style)
        weight = "bold" if name == "arrmb" else "normal"
        ax.text(0.26, y, name, color=style["color"], va="center", fontsize=9.5, weight=weight)
        y -= 0.105
    ax.plot([0.02, 0.2], [y] * 2, **FLOOR)
    ax.text(0.26, y, floor, color="0.3", va="center", fontsize=9.5)
    note = "peers: through eigh or svd\nline: median of the random matrices\nshade: up to the worst one"
    if study == "gap":
        note += "\ntop strip: at least one is NaN or inf\nleft strip: exact ties"
    ax.text(0.02, y - 0.08, note, va="top", fontsize=8.2, color="0.3", linespacing=1.35)


def figure(found, study, dtype, names, rows, path, title, xlabel):
    # where the strips begin, where NaN and errors are in them, the factor between their middle and their edge
    bottom, strip = (1e-17, (3e1, 1e3, 1e6, 20.0)) if dtype == "float64" else (1e-8, (2e1, 1e2, 2e3, 3.0))
    columns = 4 if len(rows) > 8 else 3
    lines = -(-(len(rows) + 1) // columns)
    size = (3.1 * columns, 2.55 * lines + 0.6)
    fig, grid = plt.subplots(lines, columns, figsize=size, layout="constrained", squeeze=False)
    for ax, row in zip(grid.flat, rows):
        axes(ax, study, bottom, strip, row.genuine)
        for lane, name in enumerate(reversed(names)):
            curve(ax, found, study, row, dtype, name, bottom, strip, 2.0 * (lane + 0.5) / len(names) - 1.0)
        values = GAPS if study == "gap" else CONDITIONS
        floors = [np.median([e.floor for e in found[study, row.name, v, dtype]]) for v in values]
        kept = [(position(v), f) for v, f in zip(values, floors) if v != 0.0 and bottom < f < strip[0]]
        ax.plot(*np.asarray(kept).T, **FLOOR)
        ax.set_title(row.name, fontsize=9.5, loc="left", pad=4)
    annotate(grid.flat[0], study, dtype)
    for ax in grid.flat[len(rows) : -1]:
        ax.set_axis_off()
    key(grid.flat[-1], names, study, "rounding floor")
    for ax in grid[:, 0]:
        ax.set_ylabel("relative error of the gradient", fontsize=8.5)
    fig.supxlabel(xlabel, fontsize=9)
    fig.suptitle(title, fontsize=12, x=0.01, ha="left", weight="bold")
    fig.savefig(path, dpi=160)
    plt.close(fig)


def annotate(ax, study, dtype):
    """Labels beside the curves of the first panel."""
    if study != "gap":
        return
    y, x, peers = (2e-14, 1e-12, (3e-8, 10.0**-6.4)) if dtype == "float64" else (1.6e-8, 1e-12, (5e-4, 10.0**-3.4))
    colour = STYLE["arrmb"]["color"]
    ax.text(x, y, "arrmb", color=colour, fontsize=9, weight="bold", va="bottom", ha="center")
    ax.text(peers[1], peers[0], "through eigh:\nPyTorch, JAX,\nautograd", fontsize=8, color="0.25", va="bottom")


def draw(found, peers, folder):
    first = ["arrmb", "arrmb, 2nd order", *peers]
    single = ["arrmb", *([ON_TORCH] if "PyTorch" in peers else []), *peers]
    figure(
        found,
        "gap",
        "float64",
        first,
        ROWS,
        folder / "exactness_gaps.png",
        "Gradients at ties and near ties, double precision",
        "relative gap between the eigenvalues (singular values) of a group",
    )
    figure(
        found,
        "gap",
        "float32",
        single,
        ROWS,
        folder / "exactness_gaps_float32.png",
        "Gradients at ties and near ties, single precision",
        "relative gap between the eigenvalues (singular values) of a group",
    )
    figure(
        found,
        "condition",
        "float64",
        ["arrmb", *peers],
        [row for row in ROWS if row.by_condition],
        folder / "exactness_conditions.png",
        "Gradients over condition numbers, distinct spectra, double precision",
        "condition number",
    )
