"""A package opened as Hugging Face objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForImageTextToText, AutoProcessor

import vlmforge.integrations.transformers  # noqa: F401  registers the classes


@pytest.fixture(scope="session")
def model(tiny_package: Path) -> Any:
    """The package's model."""
    return AutoModelForImageTextToText.from_pretrained(tiny_package)


@pytest.fixture(scope="session")
def dynamic_model(dynamic_package: Path) -> Any:
    """The model of the package that takes images of any size."""
    return AutoModelForImageTextToText.from_pretrained(dynamic_package)


@pytest.fixture(scope="session")
def dynamic_processor(dynamic_package: Path) -> Any:
    """Its processor."""
    return AutoProcessor.from_pretrained(dynamic_package)


@pytest.fixture(scope="session")
def processor(tiny_package: Path) -> Any:
    """The package's processor."""
    return AutoProcessor.from_pretrained(tiny_package)
