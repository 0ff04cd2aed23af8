"""Tables, ``RESULTS.md``, JSON and plot of `layers.py`.

``results/`` has a JSON file and a plot per machine; ``RESULTS.md`` is written anew from all of them.
"""

import datetime
import json
import os
import pathlib
import platform
import re
import statistics

HERE = pathlib.Path(__file__).parent
LARGE = 128  # channels from which on the floor is what counts
STYLE = {  # Okabe and Ito's colours, told apart by the colour-blind; markers differ too
    "arrmb": ("#0072B2", "o"),
    "torch": ("#D55E00", "^"),
    "torch.compile": ("#E69F00", "v"),
    "jax": ("#009E73", "s"),
    "autograd": ("#CC79A7", "D"),
}

INTRO = """# Time and memory

`make bench` measures this on the machine at hand, and writes this page, `results/*.json` with every figure, and the
plots. Each library runs in a process of its own with its number of threads; they take turns, in rounds, and a figure is
the median over the rounds. Values and gradients of all libraries were compared before they were timed.

* **×torch, ×JAX, ...**: the peer's time divided by arrmb's, the geometric mean over the sizes, and the range. Above 1,
  arrmb is faster. The peer does the same computation with its own decomposition and its own derivatives: PyTorch as it
  stands and through `torch.compile`, JAX under `jit`, both compiled before the clock starts, autograd on NumPy.
* **of the floor**: arrmb's time divided by that of the bare calls which no implementation avoids, one factorization and
  the products of matrices (`layers_floors.py`), on one thread: 1 would be no overhead at all. Below 1, arrmb has a
  faster way to one of these calls than the backend's own.
* Sizes are batch × locations × channels. Matrix functions take batch × channels × channels; the SVD and the projector
  batch × locations × channels. The training step is that of `examples/regions_o2p.py`, update by AdamW included.
* Memory is what one call needs at its peak beyond what is there before it: on a CPU the rise of resident memory
  (Linux), of JAX what XLA reserves for it. Measured with the fewest threads.
"""
CLOCKS = {"wall": "", "cpu": " Processor time, on a machine that did other work as well."}


def machine(options):
    """What the figures were measured on."""
    name = _processor()
    if options.device == "cuda":
        name = f"{name}, {_gpu()}"
    cores_here = os.cpu_count()
    default = re.sub(r"[^a-z0-9]+", "-", f"{name} {cores_here} cores".lower()).strip("-")
    return {
        "name": options.machine or default,
        "processor": name,
        "cores": cores_here,
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "date": datetime.date.today().isoformat(),
        "backend": options.backend,
        "clock": options.clock,
    }


def _processor():
    try:
        return processor_name(pathlib.Path("/proc/cpuinfo").read_text())
    except (OSError, TypeError):
        return platform.processor() or platform.machine()


def processor_name(cpuinfo):
    """The name in the text of /proc/cpuinfo; for AMD with the generation, of which a virtual machine's says nothing."""

    def number(key):
        return int(re.search(rf"^{key}\s*:\s*(\d+)", cpuinfo, re.MULTILINE)[1])

    name = re.sub(r"\((R|TM)\)", "", re.search(r"model name\s*:\s*(.*)", cpuinfo)[1]).strip()
    if "AuthenticAMD" not in cpuinfo or number("cpu family") not in (25, 26):
        return name
    model = number("model")
    zen = 5 if number("cpu family") == 26 else 4 if 0x10 <= model < 0x20 or model >= 0x60 else 3
    return f"{name}, Zen {zen}"


def _gpu():
    import subprocess

    try:
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "GPU"


def index(rows):
    """Rows by case, dtype, threads, mode, then by size, then by library."""
    found = {}
    for row in rows:
        key = row["case"], row["dtype"], row["threads"], row["mode"]
        found.setdefault(key, {}).setdefault(tuple(row["size"]), {})[row["library"]] = row
    return found


def libraries(found):
    return list(dict.fromkeys(row["library"] for row in found["rows"]))


def _mean(ratios):
    if not ratios:
        return "–"
    few = f"{statistics.geometric_mean(ratios):.2f}"
    return few if len(ratios) == 1 else f"{few} ({min(ratios):.2f}–{max(ratios):.2f})"


def ratios(sizes, above, below, large=False):
    return [
        cell[above]["seconds"] / cell[below]["seconds"]
        for size, cell in sizes.items()
        if above in cell and below in cell and (not large or size[-1] >= LARGE)
    ]


def summary(found):
    """A row per case, dtype, threads and mode: geometric means over the sizes."""
    peers = [name for name in libraries(found) if name not in ("arrmb", "floor")]
    heads = ["computation", "dtype", "threads", "mode", *(f"×{name}" for name in peers), "of the floor", f"d ≥ {LARGE}"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for (case, dtype, threads, mode), sizes in index(found["rows"]).items():
        cells = [_mean(ratios(sizes, name, "arrmb")) for name in peers]
        cells += [_mean(ratios(sizes, "arrmb", "floor")), _mean(ratios(sizes, "arrmb", "floor", large=True))]
        lines.append(f"| {case} | {dtype} | {threads} | {mode} | {' | '.join(cells)} |")
    return lines


def _cell(row, ours):
    if row is None:
        return "–"
    spread = 50.0 * (row["high"] - row["low"]) / row["seconds"]
    text = f"{_milliseconds(row['seconds'])} ±{spread:.0f} %"
    if row["library"] not in ("arrmb", "floor") and ours:
        text += f", {row['seconds'] / ours['seconds']:.2f}×"
    return text + (f", {row['bytes'] / 2**20:.1f} MB" if "bytes" in row else "")


def _milliseconds(seconds):
    t = 1e3 * seconds
    return f"{t:.3f}" if t < 1 else f"{t:.2f}" if t < 100 else f"{t:.0f}"


def details(found, modes):
    """A row per case and size: milliseconds, half the distance of the quartiles, ratio to arrmb's, memory."""
    names = libraries(found)
    lines = [f"| computation | size | dtype | threads | mode | {' | '.join(names)} | of the floor |"]
    lines.append("|---" * (len(names) + 6) + "|")
    for (case, dtype, threads, mode), sizes in index(found["rows"]).items():
        if mode not in modes:
            continue
        for size, cell in sizes.items():
            cells = [_cell(cell.get(name), cell.get("arrmb")) for name in names]
            cells.append(_mean(ratios({size: cell}, "arrmb", "floor")))
            where = f"{case} | {'×'.join(map(str, size))} | {dtype} | {threads} | {mode}"
            lines.append(f"| {where} | {' | '.join(cells)} |")
    means = summary(found)
    return lines if len(means) == 2 + len(lines[2:]) else [*lines, "", *means]


def section(found):
    where = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if name != "floor")
    lines = [
        f"## {where['processor']}, {where['cores']} cores",
        "",
        f"{where['date']}; {where['system']}; {versions}." + CLOCKS[where["clock"]],
        "",
        f"![Time in units of the floor's](results/{where['name']}.png)",
        "",
        *summary(found),
        "",
    ]
    if found.get("growth"):
        import layers_growth

        lines += [*layers_growth.table(found["growth"]), ""]
    lines += ["<details><summary>Every size, forward + backward: milliseconds, spread, ratio, memory</summary>", ""]
    lines += [*_without_means(details(found, ("forward + backward",))), "", "</details>", ""]
    if found["absent"]:
        lines += ["Without:", "", *(f"* {name}: {reason}" for name, reason in found["absent"].items()), ""]
    return lines


def _without_means(lines):
    return lines[: lines.index("")] if "" in lines else lines


def plot(found, path):
    """A panel per case: time in units of the floor's over the sizes; float32, forward + backward, one thread."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator

    dtype = "float32" if any(row["dtype"] == "float32" for row in found["rows"]) else "float64"
    threads = min(row["threads"] for row in found["rows"])
    table = {k: v for k, v in index(found["rows"]).items() if k[1:] == (dtype, threads, "forward + backward")}
    columns = min(4, len(table))
    lines = -(-len(table) // columns)
    figure, grid = plt.subplots(
        lines, columns, figsize=(3.6 * columns, 2.7 * lines + 1.2), layout="constrained", squeeze=False
    )
    for axis, ((case, *_), sizes) in zip(grid.flat, table.items()):
        names = ["×".join(map(str, size)) for size in sizes]
        for name, (colour, marker) in STYLE.items():
            points = [(i, ratios({0: c}, name, "floor")) for i, c in enumerate(sizes.values())]
            points = [(i, r[0]) for i, r in points if r]
            if points:
                axis.plot(*zip(*points), color=colour, marker=marker, markersize=4, lw=1.3, label=name)
        axis.axhline(1.0, color="0.35", linestyle=":", lw=1.2, label="floor")
        axis.set_yscale("log", base=2)
        axis.yaxis.set_major_locator(LogLocator(2, subs=(1.0, 2**0.5)))
        axis.yaxis.set_major_formatter("{x:.2g}")
        axis.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=7)
        axis.set_title(case, fontsize=10, loc="left")
        axis.grid(alpha=0.3)
    for axis in grid.flat[len(table) :]:
        axis.set_axis_off()
    for row in grid:
        row[0].set_ylabel("time / floor")
    what = "thread" if threads == 1 else "threads"
    figure.suptitle(f"Forward + backward in units of the floor, {dtype}, {threads} {what}", x=0.01, ha="left")
    handles = {}
    for axis in grid.flat:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels())))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6, fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _text(found):
    """JSON with a line per row, and four digits of what was measured."""

    def short(row):
        return {key: float(f"{v:.4g}") if isinstance(v, float) else v for key, v in row.items()}

    rest = json.dumps({key: v for key, v in found.items() if key != "rows"}, indent=1)
    rows = ",\n".join(json.dumps(short(row)) for row in found["rows"])
    return f'{rest[:-2]},\n "rows": [\n{rows}\n]\n}}\n'


def write(found, here=HERE):
    """The JSON file and the plot of this machine, and the page of all machines."""
    folder = here / "results"
    folder.mkdir(exist_ok=True)
    name = found["machine"]["name"]
    (folder / f"{name}.json").write_text(_text(found))
    plot(found, folder / f"{name}.png")
    lines = [INTRO]
    for path in sorted(folder.glob("*.json")):
        lines += section(json.loads(path.read_text()))
    (here / "RESULTS.md").write_text("\n".join(lines).rstrip() + "\n")
    print(f"wrote {here / 'RESULTS.md'}, {folder / name}.json and .png")
