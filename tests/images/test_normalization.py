"""Bytes become numbers with Hugging Face's bits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from vlmforge.formats.settings import ProcessorSettings
from vlmforge.images.normalization import Normalization

THREE = st.tuples(*[st.floats(0.01, 1)] * 3)
BYTES = np.arange(256 * 3, dtype=np.uint32).reshape(16, 16, 3).astype(np.uint8)


@given(st.floats(1e-4, 1), THREE, THREE)
def test_equals_hugging_face(
    factor: float, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> None:
    settings = ProcessorSettings(rescale_factor=factor, image_mean=mean, image_std=std)
    processor = Qwen2VLImageProcessorPil()
    scaled = processor.rescale(BYTES.transpose(2, 0, 1), factor)
    expected = processor.normalize(scaled, mean, std)

    numbers = Normalization.of(settings)(BYTES)

    assert numbers.dtype == np.float32
    np.testing.assert_array_equal(numbers.transpose(2, 0, 1), expected)
