"""The table of the scores, the file with them, and a picture of what they mean."""

import json

import numpy as np


def print_table(summaries, counts):
    width = max(map(len, summaries)) + 2
    print(f"\n{'':{width}}{'covering ODS / OIS / best':>28}{'PRI':>16}{'VoI, bits':>17}{'segments':>10}")
    for name, s in summaries.items():
        covering = f"{s.covering_ods:.3f} / {s.covering_ois:.3f} / {s.covering_best:.3f}"
        pri, voi = f"{s.pri_ods:.3f} / {s.pri_ois:.3f}", f"{s.voi_ods:.3f} / {s.voi_ois:.3f}"
        scale = counts[s.covering_scale] if len(s.covering) == len(counts) else f"scale {s.covering_scale + 1}"
        print(f"{name:{width}}{covering:>28}{pri:>16}{voi:>17}{scale:>10}")


def write_json(path, summaries, counts, **more):
    """All scores, and those at every number of segments."""
    found = {}
    for name, s in summaries.items():
        found[name] = {
            "covering": {"ODS": s.covering_ods, "OIS": s.covering_ois, "best": s.covering_best},
            "PRI": {"ODS": s.pri_ods, "OIS": s.pri_ois},
            "VoI": {"ODS": s.voi_ods, "OIS": s.voi_ois},
            "by scale": {"covering": list(s.covering), "PRI": list(s.pri), "VoI": list(s.voi)},
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"segments": counts, "scores": found, **more}, indent=1))


def draw(path, items, found, summaries, columns=("normalized cuts, hand-made", "normalized cuts, trained")):
    """The images of the best, the median and the worst covering by the last column; each method at its ODS scale."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from skimage.segmentation import mark_boundaries

    pairs = found[columns[-1]]
    scale = summaries[columns[-1]].covering_scale
    order = np.argsort([scores.covered[scale] / scores.area for scores, _ in pairs])
    rows = {"best": order[-1], "median": order[len(order) // 2], "worst": order[0]}
    figure, axes = plt.subplots(len(rows), len(columns) + 2, figsize=(14, 7.5), layout="tight", squeeze=False)
    for (title, i), row in zip(rows.items(), axes):
        item = items[i]
        shown = [("photograph", None)]
        for name in columns:
            scores, segmentations = found[name][i]
            k = summaries[name].covering_scale
            label = name.rpartition(", ")[2]
            shown.append((f"{label}: covering {scores.covered[k] / scores.area:.2f}", segmentations[k]))
        shown.append((f"one of {len(item.annotations)} people", item.annotations[0]))
        for axis, (caption, segments) in zip(row, shown):
            image = item.image if segments is None else colored(item.image, segments)
            edges = None if segments is None else segments.astype(int)
            axis.imshow(image if edges is None else mark_boundaries(image, edges, color=(1, 1, 1), mode="inner"))
            axis.set(title=caption, xticks=[], yticks=[])
        row[0].set_ylabel(f"{title} of {len(items)}: {item.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def colored(image, segments):
    """The image with every segment in its mean colour, made stronger."""
    ids = np.unique(segments, return_inverse=True)[1].reshape(segments.shape)
    sizes = np.bincount(ids.ravel())
    mean = np.stack([np.bincount(ids.ravel(), image[..., k].ravel()) / sizes for k in range(3)], axis=1)
    return (0.35 * image + 0.65 * mean[ids]) / 255
