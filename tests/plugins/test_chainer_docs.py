"""The code of docs/plugins/chainer.md runs as it stands there, and prints what its comments say."""

import re
from pathlib import Path

import chainer_here

chainer = chainer_here.import_chainer()
PAGE = (Path(__file__).parents[2] / "docs" / "plugins" / "chainer.md").read_text()


def test_the_page(capsys):
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.S):
        exec(compile(block, "chainer.md", "exec"), names)
    printed = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "[[0. 2. 4.] [2. 4. 6.] [4. 6. 8.]]" in printed
    for said in re.findall(r"print\(.*\)  # ([\[(].*)", PAGE):
        assert said in printed
