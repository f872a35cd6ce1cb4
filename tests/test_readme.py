import re
from pathlib import Path

import pytest

from analysis.saved import save_result
from boundary import Classifier, collect_normals, load_model, open_images
from made import universal_result

README = Path(__file__).parents[1] / "README.md"
DOCUMENTS = {
    "spectrum.md": 1,
    "many-processes.md": 1,
    "universal.md": 1,
    "perturbations.md": 1,
    "curvature.md": 1,
    "python.md": 3,
}
"""Those with examples, and how many."""


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
    save_result(Path("RUN/universal.h5"), universal_result(), {})
    for name, count in DOCUMENTS.items():
        text = (README.parent / "docs" / name).read_text(encoding="utf-8")
        examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        assert len(examples) == count, name
        for code in examples:
            exec(compile(code, name, "exec"), {})
    printed = capsys.readouterr().out
    assert "values stand above smooth noise" in printed
    assert "of 300 other images" in printed
    assert "subspace less sphere 0." in printed
    assert "largest principal curvature" in printed
    assert re.search(r"^energy 0\.\d+, at random 0\.078", printed, re.MULTILINE)
    assert "universal smooth_rate" in printed


def test_links_of_the_documents_lead_somewhere() -> None:
    for page in (README.parent / "docs").glob("*.md"):
        targets = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        assert [name for name in targets if not (page.parent / name).exists()] == []
