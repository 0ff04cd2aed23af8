"""What holds for the package as a whole: what it imports, when, and in which direction."""

import ast
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

import pytest

import arrmb

ROOT = pathlib.Path(arrmb.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
OTHERS = (
    "torch",
    "cupy",
    "jax",
    "chainer",
    "tensorflow",
    "scipy",
    "matplotlib",
    "skimage",
    "tqdm",
    "safetensors",
    "array_api_strict",
)


def python(code, **environment):
    """What a new process prints; a variable of its environment that is None is not set."""
    environment = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    options = {"capture_output": True, "text": True, "check": True, "timeout": 120, "env": environment}
    return subprocess.run([sys.executable, "-c", code], **options).stdout


def test_import_loads_no_other_array_library():
    code = (
        "import sys, json, arrmb, arrmb.testing; print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    loaded = set(json.loads(python(code)))
    assert "arrmb" in loaded
    assert loaded.isdisjoint(OTHERS)


def test_a_gradient_on_numpy_loads_no_other_array_library():
    code = (
        "import sys, json, numpy as np, arrmb; x = np.ones(2); "
        "arrmb.hvp(lambda x: arrmb.namespace(x).sum(x**3), (x,), (x,)); "
        "print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    assert set(json.loads(python(code))).isdisjoint(OTHERS)


def test_import_time(tmp_path):
    """At most 0.15 s beyond NumPy's own: the median over new processes, of their own time, whatever else runs."""
    compiled = {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": None}
    code = "import time; import numpy; t = time.process_time(); import arrmb; print(time.process_time() - t)"
    python(code, **compiled)
    assert statistics.median(float(python(code, **compiled)) for _ in range(5)) < 0.15


FAULTS = """
import resource
import numpy as np
import arrmb
x = np.eye(64, dtype="float32") + np.zeros((32, 1, 1), dtype="float32")
root = lambda x: arrmb.linalg.sqrtmh(x, method="newton-schulz", iterations=5)
gradient = arrmb.grad(lambda x: arrmb.namespace(x).sum(root(x)))
for _ in range(5):
    gradient(x)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    gradient(x)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="the page faults that it counts are those of glibc's threshold"
)
def test_memory_stays_at_hand():
    """A pass does not ask the system for its arrays anew. Measured in ten passes: 1 page fault, and 44,892 without."""
    assert int(python(FAULTS, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")) < 1000


# Layers from the ground up. A file may import from its own layer and from lower ones.
LAYERS = [
    ["_memory", "_threads", "_xp", "_batched", "_lapack", "_tf32", "_fused", "tree"],
    ["tape.core"],
    ["ops"],
    ["linalg", "fft"],
    ["tape"],
    ["transforms", "_arguments", "_debug"],
    ["sparse"],
    ["layers"],
    ["optim", "io", "data", "metrics", "plugins", "testing"],
    [""],  # arrmb/__init__.py
]


def module_name(path):
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_name(path) for path in FILES}


def layer(name):
    """The number of the layer of a module: the longest name of a layer that it begins with."""
    found = [
        (len(n), i) for i, names in enumerate(LAYERS) for n in names if name == n or (n and name.startswith(n + "."))
    ]
    assert found, f"arrmb.{name} is in no layer: add it to LAYERS"
    return max(found)[1]


def imports(path):
    """Names of the modules of arrmb that a file imports, at any depth of its code."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "arrmb":
                    yield alias.name.partition(".")[2]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                parts = package.split(".") if package else []
                base = parts[: len(parts) - node.level + 1] + (node.module.split(".") if node.module else [])
            elif node.module.partition(".")[0] == "arrmb":
                base = node.module.split(".")[1:]
            else:
                continue
            for alias in node.names:
                name = ".".join([*base, alias.name])
                yield name if name in NAMES else ".".join(base)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_down(path):
    name = module_name(path)
    if name == "tape":
        assert list(imports(path)) == []
        return
    for target in imports(path):
        assert target in NAMES, f"arrmb.{name} imports arrmb.{target}"
        # the package of the tape is an empty file: what is imported is its core
        assert layer(target) <= layer(name), f"arrmb.{name} imports arrmb.{target}, which is above it"


def test_the_layers_are_told_apart():
    assert (
        layer("_xp")
        < layer("tape.core")
        < layer("ops.matmul")
        < layer("linalg")
        < layer("tape.functions")
        < layer("transforms")
    )
    path = ROOT / "transforms.py"
    assert {"tape.core", "_xp", "tree"} <= set(imports(path))


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 330


def test_no_import_of_a_backend_at_the_top_of_a_file():
    """But that of a plug-in at the top of its own files: nothing else imports those."""
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                backend = name.partition(".")[0]
                assert backend not in OTHERS or module_name(path).startswith(f"plugins.{backend}"), path.name


def test_public_names():
    assert set(arrmb.__all__) <= set(dir(arrmb))
    for name in arrmb.__all__:
        assert getattr(arrmb, name).__doc__, f"arrmb.{name} has no documentation"
    with pytest.raises(AttributeError):
        arrmb.nothing  # noqa: B018
