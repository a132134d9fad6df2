"""Keys of qbcompiler's configuration that have no meaning here, and the reason of each.

The keys and what they mean are those of the manual of qbcompiler 1.3
(https://docs.mobilint.com/compiler/v1.3/en/reference.html) and of the configurations in
https://github.com/mobilint/mblt-sdk-tutorial.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

OMIT = "leave it out"
VENDOR = "it is about the vendor's processor, which programs do not run on"
FILES = "it names files, and a configuration says how to compile whatever they hold"
NAMED = "leave it out; the command names files"
PRIVATE = "its meaning is not public"
EXPERTS = "no mixtures of experts are compiled"
ONE_WAY = "errors are compensated in one way"


class Refused(NamedTuple):
    """Why a key is refused, and what to do instead."""

    reason: str
    mend: str = OMIT


REFUSED: Mapping[str, Mapping[str, Refused]] = {
    "CompileConfig": {
        "modelPaths": Refused(FILES, NAMED),
        "calibDataPaths": Refused(FILES, NAMED),
        "savePaths": Refused(FILES, NAMED),
        "useRandomCalib": Refused(
            "random samples have other ranges than what the model is shown",
            "leave it out; --images synthetic needs no images of yours",
        ),
        "inferenceScheme": Refused(
            "it is asked for beside the configuration",
            "leave it out; name the scheme: --inference-scheme",
        ),
        "cpuOffload": Refused("the processor runs all of a program"),
        "forceNpuInputReposition": Refused(VENDOR),
        "forceNpuOutputReposition": Refused(VENDOR),
        "bufferMode": Refused(VENDOR),
        "inputShapeDict": Refused(
            "one program takes all sizes",
            "leave it out; --layout, --image-size and --max-pixels say which images",
        ),
        "device": Refused(
            "it is asked for beside the configuration", "leave it out; name the device: --device"
        ),
        "dtype": Refused("files tell the dtype of each tensor"),
        "debug": Refused(
            "it changes nothing of what is compiled",
            "leave it out; VLMFORGE_DEBUG=1 shows where something failed",
        ),
        "trace": Refused(PRIVATE),
        "imageChannels": Refused("images have the three channels that the model reads"),
        "configVersion": Refused("this schema has no versions"),
        "splitBlocks": Refused("a component is one program"),
        "splitParts": Refused("a component is one program"),
        "uint8Input": Refused("programs take patches of pixels that the model's processor scaled"),
        "preprocessing": Refused(
            "images are prepared as the model's own processor says",
            "leave it out; --layout, --image-size and --max-pixels say which sizes they get",
        ),
        "resourceManagement": Refused(
            "weights are read when they are needed, so that memory is bounded anyway",
            "leave it out; --device and --dtype say where and in which dtype the model answers",
        ),
        "layerBiasCorrection": Refused(
            "biases are not corrected",
            "leave it out; hessianQuant and learnWeightScale mend what rounding costs",
        ),
        "biasCorrection": Refused(
            "biases are not corrected",
            "leave it out; hessianQuant and learnWeightScale mend what rounding costs",
        ),
        "mod": Refused(
            "the model is not trained as a whole",
            "leave it out; learnRounding and learnWeightScale learn codes and scales",
        ),
        "moe": Refused(EXPERTS),
        "loadScale": Refused("scales follow from the samples"),
        "runtimeOptions": Refused("it is written by the vendor's compiler, and read by none"),
        "saveSample": Refused("samples are files that stay", "leave it out; see --work-dir"),
        "quantization": Refused(
            "sections stand side by side here", "move what it holds one level up"
        ),
        "advancedQuantization": Refused(
            "sections stand side by side here",
            "move what it holds one level up, with a small first letter",
        ),
    },
    "LlmConfig.Attributes.Runtime": {
        "npuCoreIds": Refused(
            "cores are chosen where a package runs",
            "leave it out; --inference-scheme and VLMFORGE_THREADS choose cores",
        ),
    },
    "CalibrationConfig": {
        "groupLut": Refused("activation functions are computed, and not looked up in tables"),
        "optimizeLut": Refused("activation functions are computed, and not looked up in tables"),
        "clusteringMethods": Refused(
            "activation functions are computed, and not looked up in tables"
        ),
        "clusteringMethodsList": Refused(
            "activation functions are computed, and not looked up in tables"
        ),
        "maxSampleSizeForQuantScheme": Refused(
            "ranges are observed on all samples", "leave it out; --num-samples says how many"
        ),
        "layerOverrides": Refused("one method holds for all layers"),
    },
    "BitConfig.LayerOverrides": {
        "weight16Bits": Refused("weights have 8 bits at most", "name the node in activation16Bits"),
    },
    "BitConfig.Transformer": {
        "activation": Refused(
            "products read int8 but where int8 would hurt",
            "leave it out; bit.activation16Share and layerOverrides.activation16Bits say where",
        ),
        "mixedPrecision": Refused(PRIVATE),
    },
    "BitConfig.Transformer.Weight": {"router": Refused(EXPERTS)},
    "EquivalentTransformationConfig": {
        "OptimizeFFN": Refused(VENDOR),
        "FeedForwardMultiLut": Refused("weights are codes with scales, and no tables"),
        "FlattenQuant": Refused(PRIVATE),
    },
    "HessianQuantConfig": {
        "hessianDtype": Refused("the Hessian is float32"),
        "accumulationDevice": Refused(
            "it is asked for beside the configuration", "leave it out; name the device: --device"
        ),
        "solver": Refused(ONE_WAY),
        "rescomp": Refused(ONE_WAY),
    },
    "HessianQuantConfig.Attributes": {"alpha": Refused(ONE_WAY)},
}
"""By the section's class, as Python qualifies it, and the key in JSON."""


def refused(section: type, key: str) -> Refused | None:
    """Why a section refuses a key, however that is spelled; None for one that nobody knows."""
    known = REFUSED.get(section.__qualname__, {})
    return {_plain(name): why for name, why in known.items()}.get(_plain(key))


def _plain(key: str) -> str:
    return key.replace("_", "").lower()
