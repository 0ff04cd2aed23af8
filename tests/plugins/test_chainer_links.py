"""Links of arrmb's layers: parameters, devices, serializers, copies, training."""

import copy
import pickle

import chainer_here
import numpy as np
import pytest

import arrmb
from arrmb.layers import Conv2d, GroupNorm, Linear

chainer = chainer_here.import_chainer()
from chainer import Variable, serializers  # noqa: E402

from arrmb.plugins import chainer as plugin  # noqa: E402

F = chainer.functions


def model(seed=0):
    """A tree of layers, with a constant that is no array and an array that is no parameter."""
    rng = np.random.default_rng(seed)
    return {
        "convs": [Conv2d.init(np, rng, 2, 4), Conv2d.init(np, rng, 4, 4, bias=False)],
        "norm": GroupNorm.init(np, 4, groups=2),
        "head": Linear.init(np, rng, 16, 3),
        "order": np.asarray([2, 0, 1]),
        "eps": 1e-2,
    }


def logits(tree, x):
    xp = arrmb.namespace(x, tree["head"].weight)
    for conv in tree["convs"]:
        x = arrmb.layers.relu(conv(x))
    x = tree["norm"](x)
    n, h, w, d = x.shape
    pooled = arrmb.layers.second_order_pooling(xp.reshape(x, (n, h * w, d)), eps=tree["eps"], average=True)
    return xp.take(tree["head"](xp.reshape(pooled, (n, d * d))), tree["order"], axis=1)


NAMES = "convs/0/bias convs/0/weight convs/1/weight head/bias head/weight norm/scale norm/shift".split()


@pytest.fixture
def x(rng):
    return rng.standard_normal((2, 5, 5, 2)).astype(np.float32)


def test_parameters(x):
    tree = model()
    link = plugin.Link(tree, logits)
    assert [name for name, _ in sorted(link.namedparams())] == ["/" + name for name in NAMES]
    assert np.array_equal(link(x).array, logits(tree, x)) and link(x).dtype == np.float32
    assert link.count_params() == sum(v.size for v in arrmb.tree.flatten(tree)[0] if getattr(v, "dtype", 0) == "f")
    F.sum(link(x) ** 2).backward()

    def loss(layers):
        y = logits({**tree, **layers}, x)
        return arrmb.namespace(y).sum(y**2)

    truth = arrmb.grad(loss)({k: tree[k] for k in ("convs", "norm", "head")})
    assert np.array_equal(getattr(link, "head/weight").grad, truth["head"].weight)
    assert np.array_equal(getattr(link, "convs/0/weight").grad, truth["convs"][0].weight)


def test_an_optimizer_leaves_the_arrays_that_it_was_made_of(x):
    tree = model()
    before = tree["head"].weight.copy()
    link = plugin.Link(tree, logits)
    optimizer = chainer.optimizers.Adam(1e-2).setup(link)
    optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(1e-4))
    optimizer.add_hook(chainer.optimizer_hooks.GradientClipping(1.0))
    labels, losses = np.asarray([0, 2]), []
    for _ in range(20):
        loss = F.softmax_cross_entropy(link(x), labels)
        link.cleargrads()
        loss.backward()
        optimizer.update()
        losses.append(float(loss.array))
    assert losses[-1] < 0.5 * losses[0]
    assert np.array_equal(tree["head"].weight, before)


@pytest.mark.parametrize("kind", ["npz", "hdf5"])
def test_serializers(kind, x, tmp_path):
    if kind == "hdf5":
        pytest.importorskip("h5py", reason="h5py is not installed")
    link, other = plugin.Link(model(0), logits), plugin.Link(model(1), logits)
    setattr(link, "order", np.asarray([1, 2, 0]))  # noqa: B010
    assert not np.array_equal(link(x).array, other(x).array)
    getattr(serializers, f"save_{kind}")(tmp_path / f"saved.{kind}", link)
    getattr(serializers, f"load_{kind}")(tmp_path / f"saved.{kind}", other)
    assert np.array_equal(link(x).array, other(x).array)
    if kind == "npz":
        with np.load(tmp_path / "saved.npz") as saved:
            assert sorted(saved) == sorted([*NAMES, "order"])


def test_copies(x):
    link = plugin.Link(model(), logits)
    for other in (link.copy("copy"), link.copy("init"), copy.deepcopy(link), pickle.loads(pickle.dumps(link))):
        assert np.array_equal(other(x).array, link(x).array)
        getattr(other, "head/bias").array += 1.0
        assert not np.array_equal(other(x).array, link(x).array)
    shared = link.copy("share")
    getattr(shared, "head/bias").array += 1.0
    assert np.array_equal(shared(x).array, link(x).array)
    square = plugin.Link(Linear.init(np, np.random.default_rng(0), 3, 3)).repeat(3)
    assert len(square) == 3 and square(np.ones((2, 3), np.float32)).shape == (2, 3)
    assert len(list(square.params())) == 6


def test_devices(x):
    """From NumPy to NumPy: there is no GPU. Parameters and persistent values are where Chainer's visitors find them."""
    link = plugin.Link(model(), logits)
    seen = []

    class Visitor(chainer.device_resident.DeviceResidentsVisitor):
        def visit_device_resident(self, resident):
            pass

        def visit_array(self, array):
            seen.append(array.dtype.kind)
            return array

        def visit_variable(self, variable):
            seen.append(variable.dtype.kind)

    link.device_resident_accept(Visitor())
    assert sorted(seen) == ["f"] * len(NAMES) + ["i"]
    assert link.to_device("@numpy") is link and link.xp is np and link(x).shape == (2, 3)


def test_in_a_chain(x):
    class Model(chainer.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.conv = chainer.links.Convolution2D(2, 4, 3)
                self.pool = plugin.SecondOrderPooling(average=True)
                self.head = plugin.Link(Linear.init(np, np.random.default_rng(0), 16, 3))

        def forward(self, x):
            h = F.relu(self.conv(x))
            h = F.transpose(F.reshape(h, (*h.shape[:2], -1)), (0, 2, 1))
            return self.head(F.reshape(self.pool(h), (len(h), -1)))

    chain = Model()
    names = [name for name, _ in sorted(chain.namedparams())]
    assert names == ["/conv/W", "/conv/b", "/head/bias", "/head/weight"]
    for p in chain.params():  # in double precision, away from kinks of the rectifier
        p.array = np.random.default_rng(2).uniform(0.1, 0.5, p.shape)
    images = np.abs(np.moveaxis(x, -1, 1).astype(np.float64))
    w = chain.conv.W

    def gradient(**options):
        return chainer.grad([F.sum(chain(images) ** 2)], [w], **options)[0]

    chain.cleargrads()
    F.sum(gradient(enable_double_backprop=True) ** 2).backward()  # through Chainer's nodes and arrmb's
    direction = np.random.default_rng(1).standard_normal(w.shape)
    analytic, start, step, values = np.sum(w.grad * direction), w.array, 1e-5, []
    for sign in (1, -1):
        w.array = start + sign * step * direction
        values.append(np.sum(gradient().array ** 2))
    assert np.isclose((values[0] - values[1]) / (2 * step), analytic, rtol=1e-6)


def test_layers_of_the_paper(rng):
    features = np.abs(rng.standard_normal((2, 8, 3)))
    pool = plugin.SecondOrderPooling(eps=0.1, transform="power", average=True)
    expected = arrmb.layers.second_order_pooling(features, eps=0.1, transform="power", average=True)
    assert np.array_equal(pool(Variable(features)).array, expected)
    assert str(pool) == "SecondOrderPooling(eps=0.1, transform=power, average=True)"
    masks = rng.uniform(size=(2, 4, 8))
    assert pool(Variable(features), masks).shape == (2, 4, 3, 3)
    labels = np.arange(16).reshape(2, 8) % 2
    x = Variable(features)
    loss = plugin.NormalizedCutsLoss(reduce="no")(x, labels)
    assert np.array_equal(loss.array, arrmb.layers.normalized_cuts_loss(features, labels))
    assert np.isclose(plugin.NormalizedCutsLoss()(x, labels).array, np.mean(loss.array), rtol=1e-15)
    with pytest.raises(ValueError, match='reduce must be "mean" or "no", got \'sum\''):
        plugin.NormalizedCutsLoss(reduce="sum")
    F.sum(loss).backward()
    truth = arrmb.grad(lambda x: arrmb.namespace(x).sum(arrmb.layers.normalized_cuts_loss(x, labels)))(features)
    assert np.array_equal(x.grad, truth)


def test_bad_parameters():
    with pytest.raises(TypeError, match=r"^Link: a dict cannot be called: pass f\(parameters, \*inputs\) as well$"):
        plugin.Link({"a": np.ones(2)})
    with pytest.raises(TypeError, match=r"^Link: there is no array among the parameters"):
        plugin.Link([1.0], lambda p, x: x)
    with pytest.raises(TypeError, match=r"^Link: expected float32 or float64 parameters, got float16 for 'a'$"):
        plugin.Link({"a": np.ones(2, np.float16)}, lambda p, x: x)
    with pytest.raises(TypeError, match=r"^Link: expected float32 or float64 parameters, got complex128"):
        plugin.Link({"a": np.ones(2) + 0j}, lambda p, x: x)
    with pytest.raises(ValueError, match=r"^Link: a link has an attribute 'copy' of its own"):
        plugin.Link({"copy": np.ones(2)}, lambda p, x: x)
    link = plugin.Link(np.ones((2, 2)), lambda p, x: x @ p)
    assert [name for name, _ in link.namedparams()] == ["/value"]
    with pytest.raises(ValueError, match=r"^Linear: "):
        plugin.Link(Linear(np.ones((3, 2)), None))(np.ones((4, 5)))
