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


def draw(path, items, methods, scores, summaries, shown=("cuts, hand-made", "cuts, trained"), kind="by height"):
    """The images of the best, the median and the worst covering by the last method; each at its ODS scale."""
    from skimage.segmentation import mark_boundaries

    scale = {name: summaries[f"{name} {kind}"].covering_scale for name in shown}
    covering = {name: [x.covered[scale[name]] / x.area for x in scores[f"{name} {kind}"]] for name in shown}
    order = np.argsort(covering[shown[-1]])
    rows = {"best": order[-1], "median": order[len(order) // 2], "worst": order[0]}
    figure, axes = figure_of(len(rows), len(shown) + 2, (14, 7.5))
    for (title, i), row in zip(rows.items(), axes):
        item = items[i]
        row[0].imshow(item.image)
        row[0].set(title="photograph", ylabel=f"{title} of {len(items)}: {item.name}")
        cells = {f"one of {len(item.annotations)} people": item.annotations[0]}
        for name in reversed(shown):
            segment, arguments = methods[name]
            segments = segment(*arguments(item))[kind][scale[name]]
            cells = {f"{name.removeprefix('cuts, ')}: covering {covering[name][i]:.2f}": segments, **cells}
        for axis, (caption, segments) in zip(row[1:], cells.items()):
            image = colored(item.image, segments)
            axis.imshow(mark_boundaries(image, segments.astype(int), color=(1, 1, 1), mode="inner"))
            axis.set_title(caption)
        for axis in row:
            axis.set(xticks=[], yticks=[])
    write(figure, path)


def colored(image, segments):
    """The image with every segment in its mean colour, made stronger."""
    ids = np.unique(segments, return_inverse=True)[1].reshape(segments.shape)
    sizes = np.bincount(ids.ravel())
    mean = np.stack([np.bincount(ids.ravel(), image[..., k].ravel()) / sizes for k in range(3)], axis=1)
    return (0.35 * image + 0.65 * mean[ids]) / 255
