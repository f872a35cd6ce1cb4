import re
from pathlib import Path

import pytest

from boundary import Classifier, collect_normals, load_model, open_images

README = Path(__file__).parents[1] / "README.md"
DOCUMENTS = (
    "spectrum.md",
    "many-processes.md",
    "universal.md",
    "perturbations.md",
    "curvature.md",
)
"""Those that hold one example each."""


def test_the_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert re.search(r"^[1-9]\d* singular values stand above", printed)
    assert "subspace 0." in printed
    assert "difference_interval" in printed


def test_links_of_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8"))
    assert targets
    assert [name for name in targets if not (README.parent / name).exists()] == []


def test_the_python_of_the_documents_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    classifier = Classifier(load_model("digits").module)
    collect_normals(classifier, open_images("digits"), "RUN/normals", positions=range(50))
    ran = 0
    for name in DOCUMENTS:
        text = (README.parent / "docs" / name).read_text(encoding="utf-8")
        for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            exec(compile(code, name, "exec"), {})
            ran += 1
    assert ran == len(DOCUMENTS)
    printed = capsys.readouterr().out
    assert "values stand above smooth noise" in printed
    assert "of 300 other images" in printed
    assert "subspace less sphere 0." in printed
    assert "largest principal curvature" in printed


def test_links_of_the_documents_lead_somewhere() -> None:
    for page in (README.parent / "docs").glob("*.md"):
        targets = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        assert [name for name in targets if not (page.parent / name).exists()] == []
