"""The suite runs on one backend at a time: ``pytest --backend numpy|strict|cupy``."""

import os

import hypothesis
import numpy
import pytest

from autograd import backend

hypothesis.settings.register_profile("default", max_examples=15, deadline=None, derandomize=True)
hypothesis.settings.register_profile("thorough", max_examples=300, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_addoption(parser):
    parser.addoption("--backend", default="numpy", choices=backend.NAMES, help="array backend")


def pytest_configure(config):
    try:
        backend.use(config.getoption("--backend"))
    except backend.BackendNotAvailable as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture
def rng():
    return numpy.random.default_rng(0)
