"""The code of docs/backbones.md runs as it stands there, and what it exports is what the example of regions reads."""

import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
PAGE = (Path(__file__).parents[1] / "docs" / "backbones.md").read_text()
TORCHVISION, *BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.S | re.M)


def run(scope, blocks):
    for block in blocks:
        exec(compile(block, "backbones.md", "exec"), scope)


def stand_in():
    """A network with random weights, of stride 4."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(8, 40, 3, 2, 1)).eval()


def test_export_is_what_the_example_reads(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    pytest.importorskip("tqdm")
    from regions.pixels import activations

    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    scope, backbone = {}, stand_in()
    run(scope, BLOCKS[:1])
    scope["export"](backbone, [tmp_path / "a.png"], tmp_path / "activations")
    found = activations(tmp_path / "activations", "a")
    assert found.shape == (4, 6, 40) and found.dtype == np.float32
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = torch.tensor((pixels / 255 - mean) / deviation, dtype=torch.float32)
    expected = backbone(x.permute(2, 0, 1)[None])[0].detach().numpy()
    np.testing.assert_allclose(found, np.moveaxis(expected, 0, -1), atol=2e-3)


def check_training(backbone):
    scope = {"backbone": backbone}
    before = [p.detach().clone() for p in backbone.parameters()]
    run(scope, BLOCKS[1:])
    assert scope["losses"][-1] < scope["losses"][0]
    assert any(not torch.equal(p, q) for p, q in zip(backbone.parameters(), before))  # trained through the pooling


def test_pooling_inside_of_a_model():
    check_training(stand_in())


def test_torchvision():
    pytest.importorskip("torchvision")
    scope = {}
    run(scope, [TORCHVISION])
    assert scope["backbone"](torch.zeros(1, 3, 64, 64)).shape == (1, 1024, 4, 4)
    check_training(scope["backbone"])
