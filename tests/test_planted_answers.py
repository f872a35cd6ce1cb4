"""A whole study of each planted network, in small: what it answers is what was planted."""

from typing import Any

import numpy as np
import pytest

from analysis.answers import answers
from analysis.results import CurvatureResult, FoolingResult, UniversalResult
from analysis.saved import load_result
from boundary.controls import CONTROLS
from study import curving, perturbing, stages, universals
from study.config import config_from
from study.run import RunDirectory
from study.subject import load_subject

SMALL: dict[str, Any] = {
    "collect": 200,
    "evaluate": 100,
    "untrained": 0,
    "device": "cpu",
    "search": {"max_gradients": 20},
    "spectrum": {"null_draws": 2, "splits": 2, "directions": 20},
    "universal": {"linf": None},
    "fooling": {"draws": 40, "norms": [0.5], "dimensions": [1]},
    "curvature": {"images": 90, "judge": 60, "steps": 40, "scales": [0.2]},
}
NONE = "no difference shown"
PLANES = ("own_plane", "other_plane")


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the name of a planted network and the answers of its study."""
    name = request.param
    # So few normals of ten classes are not shown to share the one direction that would be chosen.
    stated = {"universal": {"dimension": 5}} if name == "linear" else {}
    config = config_from({**SMALL, "model": f"control:{name}"}, stated)
    run, subject = RunDirectory(tmp_path_factory.mktemp(name)), load_subject(config)
    run.prepare({"model": config.model})
    stages.collect(run, config, subject)
    stages.spectrum(run, config)
    universals.universal(run, config, subject)
    perturbing.fooling(run, config, subject)
    curving.curvature(run, config, subject)
    universal = load_result(run.result("universal"), UniversalResult)
    fooling = load_result(run.result("fooling"), FoolingResult)
    return name, answers(universal, fooling, load_result(run.result("curvature"), CurvatureResult))


@pytest.mark.parametrize("found", CONTROLS, indirect=True)
def test_a_planted_network_is_answered_as_it_was_planted(
    found: tuple[str, dict[str, Any]],
) -> None:
    name, said = found
    expected = {
        "linear": ("more", "more", PLANES, 0.98),
        "ridge": ("more", "more", PLANES, 0.98),
        "smooth": (NONE, NONE, PLANES, 0.98),
        "sink": ("more", "more", ("own_plane",), 0.98),
        "curved": (NONE, NONE, ("bending",), 0.8),
    }
    shared, beyond, causes, least = expected[name]
    universality = said["universality"]
    assert said["shared"]["beyond_smoothness"]["answer"] == shared
    assert universality["beyond_noise"]["answer"] == beyond
    assert sum(universality["causes"][cause] for cause in causes) >= least
    assert np.isclose(sum(universality["causes"].values()), 1)
    assert (said["curvature"]["answer"] == "supported") == (name == "curved")
    if name == "sink":
        assert said["R"] == 1
        assert universality["sink"]["share"] > 0.95
    if name == "sink":  # all of the power can be had inside S_f
        assert universality["within"]["share"] > 0.9
    if name == "linear":
        assert universality["path"]["slope_share"] == pytest.approx(1, abs=1e-3)
