"""Two processes under ChainerMN, on the CPU: gradients and training equal to those of one process."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import chainer_here
import numpy as np
import pytest

chainer = chainer_here.import_chainer()
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
if importlib.util.find_spec("mpi4py") is None or MPIEXEC is None:
    pytest.skip("no MPI here: pip install mpich mpi4py", allow_module_level=True)

CODE = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from arrmb.plugins import chainer_compat
chainer_compat.install()
import chainer, chainer.functions as F, chainer.links as L
import arrmb.layers
from arrmb.plugins.chainer import Link, SecondOrderPooling


class Net(chainer.Chain):
    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(0)
        with self.init_scope():
            self.conv = L.Convolution2D(2, 4, 3, initialW=rng.standard_normal((4, 2, 3, 3)).astype("f"))
            self.pool = SecondOrderPooling(average=True)
            self.fc = Link(arrmb.layers.Linear.init(np, rng, 16, 3))

    def forward(self, x):
        h = F.tanh(self.conv(x))
        return self.fc(F.reshape(self.pool(F.transpose(F.reshape(h, (len(h), 4, -1)), (0, 2, 1))), (len(h), 16)))


rng = np.random.default_rng(1)
x, t = rng.standard_normal((8, 2, 6, 6)).astype("f"), np.arange(8, dtype="i") % 3
model, optimizer = L.Classifier(Net()), chainer.optimizers.MomentumSGD(0.1)
comm = None
if sys.argv[2] != "alone":
    import chainermn

    comm = chainermn.create_communicator("naive")
    assert comm.size == 2
    optimizer = chainermn.create_multi_node_optimizer(optimizer, comm)
    x, t = x[comm.rank::2], t[comm.rank::2]
optimizer.setup(model)
found = {}
model.cleargrads()
model(x, t).backward()
if comm is not None:
    comm.bcast_data(model)
    comm.multi_node_mean_grad(model)
found.update({"grad" + name: p.grad for name, p in model.namedparams()})
for _ in range(5 if comm is None else 6):  # ChainerMN's first update distributes the parameters and does no step
    optimizer.update(model, x, t)
found.update({"data" + name: p.array for name, p in model.namedparams()})
if comm is None or comm.rank == 0:
    np.savez(sys.argv[1], **found)
"""


def test_two_processes_are_one(tmp_path):
    (tmp_path / "train.py").write_text(CODE)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    found = []
    for name, command in (("alone", []), ("both", [MPIEXEC, "-n", "2"])):
        command = [*command, sys.executable, str(tmp_path / "train.py"), str(tmp_path / f"{name}.npz"), name]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
        assert ran.returncode == 0, ran.stderr
        found.append(dict(np.load(tmp_path / f"{name}.npz")))
    alone, both = found
    assert sorted(alone) == sorted(both) and len(alone) == 8
    for name, value in alone.items():
        assert np.max(np.abs(both[name] - value)) < 1e-5 * np.max(np.abs(value)), name
