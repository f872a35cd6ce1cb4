"""Real classifiers and images beside the project; tests that want them are skipped elsewhere."""

from pathlib import Path

import pytest

TESTBED = Path(__file__).resolve().parents[2] / "shared" / "testbed"
MODELS = f"{TESTBED}/models.py"
CIFAR10 = f"{TESTBED}/images/cifar10"
IMAGENET = f"{TESTBED}/images/imagenet"
IMAGENET_CLASSES = f"{TESTBED}/images/imagenet_classes.txt"

needs_testbed = pytest.mark.skipif(not TESTBED.is_dir(), reason="no testbed beside the project")
