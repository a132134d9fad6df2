"""Quantize the text model; it comes first, because it fixes the rotation R1.

python mxq_compile_language.py --model-name Qwen/Qwen2-VL-2B-Instruct
"""

from __future__ import annotations

from files import quantize

from vlmforge import CompileConfig, InferenceScheme

CONFIG = CompileConfig.parse(
    {
        "bit": {"layerOverrides": {"activation16Bits": ["inputs_embeds/reshape"]}},
        "equivalentTransformation": {
            "QK": {"apply": True},
            "UD": {"apply": True, "learn": True},
            "SpinR1": {"apply": True},
            "SpinR2": {"apply": True},
        },
    }
)


if __name__ == "__main__":
    quantize("language", "Quantize the text model.", CONFIG, InferenceScheme.SINGLE)
