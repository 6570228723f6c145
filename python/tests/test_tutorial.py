"""The code of `docs/python.md`, section by section."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def sections():
    if not PAGE.exists():
        return
    for section in re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        blocks = re.findall(r"^```python\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
        if blocks:
            yield section.splitlines()[0], blocks


@pytest.mark.skipif(not PAGE.exists(), reason="the page is not beside the package")
@pytest.mark.parametrize("title,blocks", [pytest.param(*section, id=section[0]) for section in sections()])
def test_runs(title, blocks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        try:
            exec(compile(block, f"{PAGE.name}: {title}", "exec"), {"__name__": "tutorial"})
        except ModuleNotFoundError as error:
            if error.name.split(".")[0] not in ("torch", "transformers", "pandas"):
                raise
            pytest.skip(f"{error.name} is not installed")


def test_the_page_has_its_code():
    assert not PAGE.exists() or len(list(sections())) >= 8
