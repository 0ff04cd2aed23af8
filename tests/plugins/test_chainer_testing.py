"""Chainer's own test cases for functions and links, on the main ones."""

import chainer_here
import numpy as np

import arrmb

chainer = chainer_here.import_chainer()
from chainer import testing  # noqa: E402

from arrmb.plugins import chainer as plugin  # noqa: E402

CPU = testing.inject_backend_tests(None, [{}])  # NumPy; on a machine with a GPU add {"use_cuda": True}
FLOATS = testing.parameterize(*testing.product({"dtype": [np.float32, np.float64], "shape": [(3, 3), (2, 4, 4)]}))


class OneArray:
    """Tolerances, and an input.

    Values: a hundred roundings of the precision, since the matrices are well conditioned. Derivatives: differences are
    taken in double precision with step h = 1e-3, whose error is h² times the third derivative over 6: some 1e-5.
    """

    def setUp(self):
        np.random.seed(0)  # the checkers' directions come from here as well
        rounding = 100 * float(np.finfo(self.dtype).eps)
        self.check_forward_options.update(atol=rounding, rtol=rounding)
        self.check_backward_options.update(atol=1e-4, rtol=1e-4, eps=1e-3)
        self.check_double_backward_options.update(atol=1e-4, rtol=1e-4, eps=1e-3)

    def generate_inputs(self):
        return (np.random.uniform(0.5, 1.5, self.shape).astype(self.dtype),)


def spd(x):
    """A positive definite matrix of any matrix: a difference of one entry must leave it symmetric."""
    return x @ x.swapaxes(-1, -2) + np.eye(x.shape[-2], dtype=x.dtype)


def spd_of_variables(x):
    return plugin.function(lambda x: x @ x.mT + np.eye(x.shape[-1], dtype=x.dtype))(x)


def of_eigenvalues(f, x):
    w, v = np.linalg.eigh(spd(x))
    return (v * f(w)[..., None, :]) @ v.swapaxes(-1, -2)


@CPU
@FLOATS
class TestLogmh(OneArray, testing.FunctionTestCase):
    def forward(self, inputs, device):
        return (plugin.linalg.logmh(spd_of_variables(inputs[0])),)

    def forward_expected(self, inputs):
        return (of_eigenvalues(np.log, inputs[0]),)


@CPU
@FLOATS
class TestSqrtmh(OneArray, testing.FunctionTestCase):
    def forward(self, inputs, device):
        return (plugin.linalg.sqrtmh(spd_of_variables(inputs[0])),)

    def forward_expected(self, inputs):
        return (of_eigenvalues(np.sqrt, inputs[0]),)


@CPU
@FLOATS
class TestSecondOrderPooling(OneArray, testing.FunctionTestCase):
    def forward(self, inputs, device):
        return (plugin.layers.second_order_pooling(inputs[0], eps=1.0),)

    def forward_expected(self, inputs):
        return (of_eigenvalues(np.log, inputs[0].swapaxes(-1, -2)),)


@CPU
@FLOATS
class TestSolve(OneArray, testing.FunctionTestCase):
    def generate_inputs(self):
        (b,) = super().generate_inputs()
        return (np.eye(self.shape[-1], dtype=self.dtype) * 6 + b, b[..., ::-1].copy())

    def forward(self, inputs, device):
        return (plugin.linalg.solve(*inputs),)

    def forward_expected(self, inputs):
        return (np.linalg.solve(*inputs),)


@CPU
@FLOATS
class TestSvdvals(OneArray, testing.FunctionTestCase):
    def generate_inputs(self):
        q = np.linalg.qr(np.random.standard_normal((*self.shape[:-2], self.shape[-1], self.shape[-1])))[0]
        return ((q * np.arange(1.0, 1.0 + self.shape[-1])).astype(self.dtype),)

    def forward(self, inputs, device):
        return (plugin.linalg.svdvals(inputs[0]),)

    def forward_expected(self, inputs):
        return (np.linalg.svd(inputs[0], compute_uv=False),)


class Tolerances:
    def setUp(self):
        np.random.seed(0)  # the checkers' directions come from here as well
        rounding = 100 * float(np.finfo(np.float32).eps)
        self.check_forward_options.update(atol=rounding, rtol=rounding)
        self.check_backward_options.update(atol=1e-3, rtol=1e-3)  # its step, in single precision, is 1e-3


@CPU
class TestLinear(Tolerances, testing.LinkTestCase):
    param_names = ("weight", "bias")

    def generate_params(self):
        return np.random.standard_normal((3, 2)).astype("f"), np.random.standard_normal(2).astype("f")

    def create_link(self, initializers):
        return plugin.Link(arrmb.layers.Linear(*initializers))

    def generate_inputs(self):
        return (np.random.standard_normal((5, 3)).astype("f"),)

    def forward_expected(self, link, inputs):
        return (inputs[0] @ link.weight.array + link.bias.array,)


@CPU
class TestSecondOrderPoolingLink(Tolerances, testing.LinkTestCase):
    param_names = ()

    def generate_params(self):
        return ()

    def create_link(self, initializers):
        return plugin.SecondOrderPooling(eps=1.0, transform="power")

    def generate_inputs(self):
        return (np.random.uniform(0.5, 1.5, (2, 5, 3)).astype("f"),)

    def forward_expected(self, link, inputs):
        return (of_eigenvalues(np.sqrt, inputs[0].swapaxes(-1, -2)),)
