"""Quantize the vision encoder, its output rotated by the text model's R1.

python mxq_compile_vision.py --model-name Qwen/Qwen2-VL-2B-Instruct
"""

from __future__ import annotations

from files import quantize

from vlmforge import CompileConfig, InferenceScheme

CONFIG = CompileConfig.parse(
    {
        "bit": {"layerOverrides": {"activation16Bits": ["model_merger_fc2"]}},
        "equivalentTransformation": {"HeadOutChRotation": {"apply": True}},
    }
)


if __name__ == "__main__":
    quantize("vision", "Quantize the vision encoder.", CONFIG, InferenceScheme.MULTI)
