"""The table of the scores, the file with them, and a picture of what they mean."""

import json

import numpy as np
from bsds.grouping import SCALES


def scale_name(name, k):
    """What the k-th scale of a row of the table is."""
    for kind, scales in SCALES.items():
        if name.endswith(kind):
            return scales[k]
    return k + 1


def print_table(summaries):
    width = max(map(len, summaries)) + 2
    print(f"\n{'':{width}}{'covering ODS / OIS / best':>28}{'PRI':>16}{'VoI, bits':>17}{'ODS scale':>11}")
    for name, s in summaries.items():
        covering = f"{s.covering_ods:.3f} / {s.covering_ois:.3f} / {s.covering_best:.3f}"
        pri, voi = f"{s.pri_ods:.3f} / {s.pri_ois:.3f}", f"{s.voi_ods:.3f} / {s.voi_ois:.3f}"
        print(f"{name:{width}}{covering:>28}{pri:>16}{voi:>17}{scale_name(name, s.covering_scale):>11}")


def write_json(path, summaries, **more):
    """All scores, and those at every scale."""
    found = {}
    for name, s in summaries.items():
        found[name] = {
            "covering": {"ODS": s.covering_ods, "OIS": s.covering_ois, "best": s.covering_best},
            "PRI": {"ODS": s.pri_ods, "OIS": s.pri_ois},
            "VoI": {"ODS": s.voi_ods, "OIS": s.voi_ois},
            "by scale": {"covering": list(s.covering), "PRI": list(s.pri), "VoI": list(s.voi)},
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"scales": SCALES, "scores": found, **more}, indent=1))


def figure_of(rows, columns, size):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt.subplots(rows, columns, figsize=size, layout="tight", squeeze=False)


def write(figure, path):
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def draw_curves(path, losses):
    """The mean loss of each epoch (epochs, 2): in training, and on the validation set."""
    figure, axes = figure_of(1, 1, (6, 4))
    for column, name in zip(losses.T, ("training, mean over the epoch", "validation, after the epoch")):
        axes[0, 0].plot(np.arange(1, len(losses) + 1), column, ".-", label=name)
    axes[0, 0].set(xlabel="epoch", ylabel="loss")
    axes[0, 0].legend()
    write(figure, path)


def draw(folder, items, methods, scores, summaries, shown=("cuts, hand-made", "cuts, trained"), kind="by height"):
    """The images at five places in the order of covering by the last method, each at its ODS scale.

    In ``images.png`` with the photographs; in ``segments.png`` without, every segment in its mean colour.
    """
    scale = {name: summaries[f"{name} {kind}"].covering_scale for name in shown}
    covering = {name: [x.covered[scale[name]] / x.area for x in scores[f"{name} {kind}"]] for name in shown}
    order = np.argsort(covering[shown[-1]])
    rows = {}
    for place in range(5):  # the best, upper quartile, median, lower quartile, worst
        rank = round(place * (len(order) - 1) / 4)
        i = order[-1 - rank]
        item, cells = items[i], {}
        for name in shown:
            segment, arguments = methods[name]
            caption = f"{name.removeprefix('cuts, ')}: covering {covering[name][i]:.2f}"
            cells[caption] = segment(*arguments(item))[kind][scale[name]]
        cells[f"one of {len(item.annotations)} people"] = item.annotations[0]
        rows[f"{item.name}: number {rank + 1} of {len(items)}"] = item.image, cells
    draw_grid(folder / "images.png", rows, photographs=True)
    draw_grid(folder / "segments.png", rows, photographs=False)


def draw_grid(path, rows, photographs):
    """``rows`` are {title: (image, {caption: segments})}."""
    from skimage.segmentation import mark_boundaries

    columns = max(len(cells) for _, cells in rows.values()) + photographs
    figure, axes = figure_of(len(rows), columns, (3.5 * columns, 2.5 * len(rows)))
    for (title, (image, cells)), row in zip(rows.items(), axes):
        row[0].set_ylabel(title)
        if photographs:
            row[0].imshow(image)
            row[0].set_title("photograph")
        for axis, (caption, segments) in zip(row[int(photographs) :], cells.items()):
            filled = fill(image, segments)
            filled = 0.35 * image / 255 + 0.65 * filled if photographs else filled
            axis.imshow(mark_boundaries(filled, segments.astype(int), color=(1, 1, 1), mode="inner"))
            axis.set_title(caption)
        for axis in row:
            axis.set(xticks=[], yticks=[])
    write(figure, path)


def fill(image, segments):
    """Every segment in its mean colour, from 0 to 1."""
    ids = np.unique(segments, return_inverse=True)[1].reshape(segments.shape)
    sizes = np.bincount(ids.ravel())
    mean = np.stack([np.bincount(ids.ravel(), image[..., k].ravel()) / sizes for k in range(3)], axis=1)
    return mean[ids] / 255
