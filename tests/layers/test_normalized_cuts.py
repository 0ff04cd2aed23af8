"""The cut's loss against the dense formula and PyTorch's gradient of it, and planted segments found again."""

import itertools

import numpy as np
import pytest

import arrmb
from arrmb.layers import normalized_cuts_loss, normalized_cuts_segment
from arrmb.testing import check_grads

RNG = np.random.default_rng


def _example(seed=0, n=12, d=5, k=3, batch=()):
    rng = RNG(seed)
    features = rng.uniform(0.1, 1.0, (*batch, n, d))
    labels = np.broadcast_to(np.arange(n) % k, (*batch, n)).copy()
    return features, rng.permuted(labels, axis=-1), rng.uniform(0.5, 2.0, d)


def _dense(features, labels, weights=None):
    """½ ‖Π_M - Π_Y‖² from the n × n matrices, one image, NumPy."""
    w = features @ np.diag(np.ones(features.shape[1]) if weights is None else weights) @ features.T
    root = np.diag(w.sum(1) ** -0.5)
    lam, v = np.linalg.eigh(root @ w @ root)
    v = v[:, lam > 1e-10]
    y = np.equal.outer(labels, np.unique(labels)).astype(float)
    return 0.5 * np.sum((v @ v.T - y @ np.linalg.inv(y.T @ y) @ y.T) ** 2)


@pytest.mark.parametrize("weighted", [False, True])
def test_dense_formula(backend, weighted):
    features, labels, weights = _example()
    expected = _dense(features, labels, weights if weighted else None)
    put = [backend.put(x, "float64") for x in (features, labels, weights)]
    loss = normalized_cuts_loss(*put[:2], weights=put[2] if weighted else None)
    np.testing.assert_allclose(backend.get(loss), expected, rtol=1e-12)


@pytest.mark.parametrize("n, d", [(12, 5), (5, 5), (4, 6)])
def test_gradient_against_torch(n, d):
    """PyTorch's autograd through n × n matrices; with n <= d the column space is everything, and nothing changes."""
    torch = pytest.importorskip("torch")
    features, labels, weights = _example(n=n, d=d, k=2)
    f, w = (torch.tensor(x, requires_grad=True) for x in (features, weights))
    affinity = f @ torch.diag(w) @ f.T
    root = torch.diag(affinity.sum(1) ** -0.5)
    a = root @ f * torch.sqrt(w)
    projector = a @ torch.linalg.solve(a.T @ a, a.T) if n > d else torch.eye(n, dtype=f.dtype) + 0.0 * affinity
    y = torch.tensor(np.equal.outer(labels, np.unique(labels)).astype(float))
    loss = 0.5 * torch.sum((projector - y @ torch.linalg.inv(y.T @ y) @ y.T) ** 2)
    loss.backward()
    value, grads = arrmb.value_and_grad(lambda f, w: normalized_cuts_loss(f, labels, weights=w), argnums=(0, 1))(
        features, weights
    )
    np.testing.assert_allclose(value, loss.item(), rtol=1e-12)
    for found, expected in zip(grads, (f.grad, w.grad)):
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-11)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_derivatives(backend, batch):
    features, labels, weights = _example(1, batch=batch)
    labels = backend.put(labels, "float64")

    def f(features, weights):
        return normalized_cuts_loss(features, labels, weights=weights)

    check_grads(f, tuple(backend.put(x, "float64") for x in (features, weights)))
    check_grads(lambda features: normalized_cuts_loss(features, labels), (backend.put(features, "float64"),))


def test_batch_with_different_numbers_of_segments(backend):
    features, labels, _ = _example(2, batch=(2, 2), k=2)
    labels[0, 1] = np.arange(12) % 4 - 7  # negative ids, and more of them
    weights = RNG(3).uniform(0.5, 2.0, (2, 2, 5))
    put = [backend.put(x, "float64") for x in (features, labels, weights)]
    loss = backend.get(normalized_cuts_loss(*put[:2], weights=put[2]))
    assert loss.shape == (2, 2)
    for i in itertools.product(range(2), range(2)):
        np.testing.assert_allclose(loss[i], _dense(features[i], labels[i], weights[i]), rtol=1e-12)
    assert normalized_cuts_loss(put[0][:0, ...], put[1][:0, ...]).shape == (0, 2)


def test_ids_do_not_matter(backend):
    features, labels, _ = _example()
    names = np.asarray([900, -4, 17])[labels]
    losses = [
        normalized_cuts_loss(backend.put(features, "float64"), backend.put(v, "float64")) for v in (labels, names)
    ]
    np.testing.assert_allclose(backend.get(losses[0]), backend.get(losses[1]), rtol=1e-13)  # sums in another order


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_dead_and_dependent_channels(backend, dtype):
    """A dead and a doubled channel: the loss is that without them but for the degrees, and its gradient finite."""
    features, labels, _ = _example(4, n=40)
    features[:, 1] = 0.0
    features[:, 2] = 2.0 * features[:, 0]
    f, y = backend.put(features, dtype), backend.put(labels, dtype)
    value, gradient = arrmb.value_and_grad(lambda f: normalized_cuts_loss(f, y))(f)
    assert value.dtype == f.dtype and gradient.dtype == f.dtype
    np.testing.assert_allclose(backend.get(value), _dense(features, labels), rtol=1e-12 if dtype == "float64" else 1e-5)
    assert np.isfinite(backend.get(gradient)).all()


def _flat(channels, dtype, backend):
    """Features of 12 pixels that are the given column, over and over."""
    return backend.put(np.repeat(np.reshape(channels, (12, 1)), 4, axis=1), dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_images_of_one_colour_and_of_grey_levels(backend, dtype):
    """Features of rank one: finite, and the gradient of the formula; one segment is all that they support."""
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    labels = np.arange(12) % 3
    for column in (np.full(12, 0.3), RNG(0).uniform(0.1, 1.0, 12)):
        f, y = _flat(column, dtype, backend), backend.put(labels, "float64")
        value, gradient = arrmb.value_and_grad(lambda f, y=y: normalized_cuts_loss(f, y))(f)
        np.testing.assert_allclose(backend.get(value), _dense(backend.get(f), labels), rtol=tolerance)

        def along(c):  # rank one: A is the vector D^-½ c, and c divided by its root, for D = c (1^T c) up to a factor
            root = np.sqrt(c)
            y = np.equal.outer(labels, np.unique(labels)) / 2.0  # four pixels each
            return 2.0 - np.sum((y.T @ root) ** 2) / np.sum(root * root)

        h = 1e-6
        expected = [(along(column + h * e) - along(column - h * e)) / (2 * h) for e in np.eye(12)]
        np.testing.assert_allclose(np.sum(backend.get(gradient), axis=-1), expected, atol=1e-8 + tolerance)
        assert not np.any(backend.get(normalized_cuts_segment(f, 3)))


@pytest.mark.parametrize("n, d, k", [(12, 5, 12), (12, 5, 8), (3, 5, 3)])
def test_more_segments_than_channels(backend, n, d, k):
    """As many as there are pixels, even: then, and with n <= d, one of the two subspaces is everything."""
    features, labels, _ = _example(6, n=n, d=d, k=k)
    f, y = backend.put(features, "float64"), backend.put(labels, "float64")
    value, gradient = arrmb.value_and_grad(lambda f: normalized_cuts_loss(f, y))(f)
    np.testing.assert_allclose(backend.get(value), _dense(features, labels), rtol=1e-12, atol=1e-13)
    if k == n:
        np.testing.assert_allclose(backend.get(value), 0.5 * (n - min(n, d)), atol=1e-13)
        np.testing.assert_allclose(backend.get(gradient), 0.0, atol=1e-13)


def test_weight_zero_leaves_a_channel_out(backend):
    features, labels, weights = _example(5)
    weights[2] = 0.0
    keep = np.asarray([0, 1, 3, 4])
    put = [backend.put(x, "float64") for x in (features, labels, weights)]
    value, gradient = arrmb.value_and_grad(lambda w: normalized_cuts_loss(*put[:2], weights=w))(put[2])
    np.testing.assert_allclose(backend.get(value), _dense(features[:, keep], labels, weights[keep]), rtol=1e-12)
    assert np.isfinite(backend.get(gradient)).all()


def test_perfect_features_reach_the_bound(backend):
    _, labels, _ = _example()
    features = np.eye(3)[labels] @ np.diag([1.0, 2.0, 3.0])
    loss = normalized_cuts_loss(backend.put(features, "float64"), backend.put(labels, "float64"))
    assert abs(backend.get(loss)) < 1e-14  # ½ (rank - k) = 0


def _errors():
    f, y = np.ones((6, 3)) + np.eye(6, 3), np.arange(6) % 2
    dark = f * (np.arange(6) != 4)[:, None]
    loss = normalized_cuts_loss
    yield "list", loss, (f.tolist(), y), {}, TypeError, "features must be a floating-point array, got list"
    yield "dtype", loss, (f.astype(int), y), {}, TypeError, "features has dtype int64"
    yield "complex", loss, (f + 0j, y), {}, TypeError, "features must be real"
    yield "rank", loss, (f[0], y), {}, ValueError, r"features must have shape \(..., m, n\)"
    yield "empty", loss, (f[:0], y[:0]), {}, ValueError, "n, d > 0"
    yield "float labels", loss, (f, y.astype(float)), {}, TypeError, "labels has dtype float64, and needs an integer"
    yield "list of labels", loss, (f, y.tolist()), {}, TypeError, "labels must be an integer array"
    yield "labels", loss, (f, y[:5]), {}, ValueError, r"labels must have shape \(6,\)"
    yield "labels' rank", loss, (f[None], y), {}, ValueError, r"labels must have shape \(1, 6\)"
    yield "one segment", loss, (f, y * 0 + 3), {}, ValueError, "labels without a second segment"
    yield (
        "one in a batch",
        loss,
        (np.stack([f, f]), np.stack([y, y * 0])),
        {},
        ValueError,
        "labels without a second segment",
    )
    yield "weights", loss, (f, y), {"weights": np.ones(2)}, ValueError, r"weights must have shape \(3,\)"
    yield "a number", loss, (f, y), {"weights": 1.0}, TypeError, "weights must be an array"
    yield "weights' dtype", loss, (f, y), {"weights": np.ones(3, "f4")}, TypeError, "weights has dtype float32"
    turned = f * np.asarray([-1.0, 1.0, 1.0, 1.0, 1.0, 1.0])[:, None]
    negative = {"weights": np.asarray([1.0, 1.0, -0.25])}
    yield (
        "mask",
        loss,
        (f, y.reshape(2, 3)),
        {},
        ValueError,
        r"labels must have shape \(6,\) .* got \(2, 3\): .* resize",
    )
    yield "boolean labels", loss, (f, y > 0), {}, TypeError, "labels has dtype bool, and needs an integer"
    yield "weights infinite", loss, (f, y), {"weights": np.ones(3) * np.inf}, ValueError, "weights has NaN or infinity"
    yield "weights zero", loss, (f, y), {"weights": np.zeros(3)}, ValueError, "features give 6 of 6 pixels a degree"
    for op, second in ((loss, y), (normalized_cuts_segment, 2)):
        name = op.__name__
        yield f"dark {name}", op, (dark, second), {}, ValueError, r"features give 1 of 6 pixels .* \(pixel 4: 0\)"
        yield (
            f"negative {name}",
            op,
            (turned, second),
            {},
            ValueError,
            r"\(pixel 0: -.* softplus",
        )
        yield f"NaN {name}", op, (np.where(dark, f, np.nan), second), {}, ValueError, "NaN or infinity in 3 of its 18"
        yield f"infinite {name}", op, (np.where(dark, f, np.inf), second), {}, ValueError, "NaN or infinity in 3 of"
        yield f"overflow {name}", op, (1e25 * f.astype("f4"), second), {}, ValueError, r"\(pixel 0: inf\).* scale all"
        yield f"underflow {name}", op, (1e-30 * f.astype("f4"), second), {}, ValueError, r"\(pixel 0: 0\).* scale all"
        yield (
            f"negative weight {name}",
            op,
            (f, second),
            negative,
            ValueError,
            "weights must not be negative, got -0.25",
        )
    many = (np.ones((3, 5)) + np.eye(3, 5), 4)
    yield "k pixels", normalized_cuts_segment, many, {}, ValueError, "k must be an integer from 1 to .* 3 and 5, got 4"
    yield "k", normalized_cuts_segment, (f, 4), {}, ValueError, "k must be an integer from 1 to .* 6 and 3, got 4"
    yield "k zero", normalized_cuts_segment, (f, 0), {}, ValueError, "got 0"
    yield "k float", normalized_cuts_segment, (f, 2.0), {}, ValueError, "got 2.0"


@pytest.mark.parametrize("f, args, options, error, message", [pytest.param(*e[1:], id=e[0]) for e in _errors()])
def test_errors(f, args, options, error, message):
    with np.errstate(all="ignore"), pytest.raises(error, match=message) as found:
        f(*args, **options)
    assert str(found.value).startswith("normalized_cuts_")


def test_bad_values_on_every_backend(backend):
    """The second image of a batch is at fault; pixels are counted through it."""
    features, labels, weights = _example(batch=(2,))
    y, w = backend.put(labels, "float64"), backend.put(-weights, "float64")
    features[1, 3] = 0.0
    with pytest.raises(ValueError, match=r"features give 1 of 24 pixels a degree .* \(pixel 15: 0\)"):
        normalized_cuts_loss(backend.put(features, "float64"), y)
    with pytest.raises(ValueError, match="weights must not be negative, got -"):
        normalized_cuts_loss(backend.put(np.abs(features) + 1.0, "float64"), y, weights=w)
    features[1, 3] = np.nan
    with pytest.raises(ValueError, match="features has NaN or infinity in 5 of its 120 entries"):
        normalized_cuts_loss(backend.put(features, "float64"), y)


def test_labels_of_another_backend():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="labels are arrays of different backends"):
        normalized_cuts_loss(np.ones((4, 2)), torch.tensor([0, 1, 0, 1]))


def _same_partition(a, b):
    pairs = set(zip(a.tolist(), b.tolist()))
    return len(pairs) == len(set(a.tolist())) == len(set(b.tolist()))


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_planted_segments(backend, k, dtype):
    """Channels that each belong to one segment, with 30 % of noise."""
    rng = RNG(k)
    labels = rng.permuted(np.arange(60) % k)
    features = 0.3 * rng.random((60, 6)) + np.equal.outer(labels, np.arange(6) % k)
    found = normalized_cuts_segment(backend.put(features, dtype), k)
    assert found.dtype == backend.xp.asarray([0]).dtype
    assert _same_partition(backend.get(found), labels)


def test_planted_segments_in_a_batch(backend):
    labels = np.stack([RNG(i).permuted(np.arange(40) % 3) for i in range(2)])
    features = 0.1 + np.equal.outer(labels, np.arange(4) % 3).astype(float)
    features[..., 3] = RNG(5).uniform(5.0, 6.0, (2, 40))  # a channel that belongs to none, and dominates
    y, weights = backend.put(labels, "float64"), np.asarray([1.0, 1.0, 1.0, 1e-6])
    found = normalized_cuts_segment(backend.put(features, "float64"), 3, weights=backend.put(weights, "float64"))
    assert found.shape == y.shape
    for i in range(2):
        assert _same_partition(backend.get(found)[i], labels[i])


def test_fewer_segments_than_asked_for(backend):
    """Features of rank 2 do not support three segments, and the third is not made up from rounding errors."""
    labels = np.arange(20) % 2
    features = np.equal.outer(labels, [0, 1, 0, 1]).astype(float)
    found = normalized_cuts_segment(backend.put(features, "float64"), 3)
    assert _same_partition(backend.get(found), labels)


def test_segmenting_is_deterministic_and_takes_traced_arrays(backend):
    features = backend.put(RNG(7).random((50, 4)), "float64")
    found = backend.get(normalized_cuts_segment(features, 3))

    def f(x):
        np.testing.assert_array_equal(backend.get(normalized_cuts_segment(x, 3)), found)
        return arrmb.namespace(x).sum(x)

    arrmb.grad(f)(features)
