"""vlmforge compiles vision-language models into static-integer programs and runs them.

Everything a user needs is here: ``from vlmforge import Session``. ``docs/python.md`` lists it.
Beside this module, :mod:`vlmforge.console` and :mod:`vlmforge.integrations.transformers` are meant
to be imported; where anything else lies may change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_RUNNING = {
    "Answer": "vlmforge.serve.answer",
    "BitConfig": "vlmforge.config",
    "BusyError": "vlmforge.errors",
    "CalibrationConfig": "vlmforge.config",
    "CalibrationError": "vlmforge.errors",
    "CalibrationMethod": "vlmforge.config",
    "CalibrationMode": "vlmforge.config",
    "CalibrationOutput": "vlmforge.config",
    "CaptureError": "vlmforge.errors",
    "Chat": "vlmforge.run.chat",
    "ClosedError": "vlmforge.errors",
    "ClusterError": "vlmforge.errors",
    "CompileConfig": "vlmforge.config",
    "ConfigError": "vlmforge.errors",
    "Conversation": "vlmforge.run.conversation",
    "Engine": "vlmforge.serve.engine",
    "EquivalentTransformationConfig": "vlmforge.config",
    "FormatError": "vlmforge.errors",
    "Generation": "vlmforge.decode.generate",
    "Grammar": "vlmforge.decode.grammar",
    "GraphError": "vlmforge.errors",
    "HessianQuantConfig": "vlmforge.config",
    "ImageError": "vlmforge.errors",
    "InferenceScheme": "vlmforge.config",
    "InstallError": "vlmforge.errors",
    "Layout": "vlmforge.images.layout",
    "LearnRoundingConfig": "vlmforge.config",
    "LearnWeightScaleConfig": "vlmforge.config",
    "LengthError": "vlmforge.errors",
    "LlmConfig": "vlmforge.config",
    "LogProbabilities": "vlmforge.decode.log_probabilities",
    "Options": "vlmforge.decode.generate",
    "OutputError": "vlmforge.errors",
    "PackageError": "vlmforge.errors",
    "ProgramModel": "vlmforge.evaluation.text",
    "PromptRead": "vlmforge.decode.prompt_read",
    "Pushed": "vlmforge.publish.push",
    "Question": "vlmforge.evaluation.questions",
    "RotationError": "vlmforge.errors",
    "RunError": "vlmforge.errors",
    "Sampling": "vlmforge.decode.sampling",
    "SearchWeightScaleConfig": "vlmforge.config",
    "Session": "vlmforge.run.session",
    "Snapshot": "vlmforge.formats.kv",
    "SignatureError": "vlmforge.errors",
    "SigningKey": "vlmforge.signing.keys",
    "SourceError": "vlmforge.errors",
    "Step": "vlmforge.decode.generate",
    "SystemFailure": "vlmforge.errors",
    "VideoError": "vlmforge.errors",
    "VlmforgeError": "vlmforge.errors",
    "Windowing": "vlmforge.evaluation.windows",
    "Workspace": "vlmforge.stages.workspace",
    "collect_images": "vlmforge.calibrate.images",
    "evaluate": "vlmforge.evaluation.questions",
    "evaluate_package": "vlmforge.evaluation.package",
    "evaluate_text": "vlmforge.evaluation.text",
    "inspect": "vlmforge.inspection",
    "private_directory": "vlmforge.formats.private",
    "push": "vlmforge.publish.push",
    "read_questions": "vlmforge.evaluation.questions",
    "read_texts": "vlmforge.evaluation.windows",
    "sample_checkpoint": "vlmforge.sample:checkpoint",
    "sign_package": "vlmforge.signing.package",
}
"""Public name to where it is, imported at first use."""

_COMPILING = {
    "Checkpoint": "vlmforge.source.checkpoint",
    "ReferenceModel": "vlmforge.original.reference",
    "TextCalibration": "vlmforge.stages.calibration",
    "TextReference": "vlmforge.original.text",
    "compile": "vlmforge.pipeline:compile_model",
    "compile_model": "vlmforge.pipeline",
    "mblt_compile": "vlmforge.stages.mblt",
    "mxq_compile": "vlmforge.stages.mxq",
    "plan": "vlmforge.pipeline:plan_model",
    "record_language": "vlmforge.calibrate.record",
    "record_text": "vlmforge.calibrate.text",
    "record_vision": "vlmforge.calibrate.record",
    "write_package": "vlmforge.stages.package",
    "write_package_config": "vlmforge.stages.package",
    "write_package_embedding": "vlmforge.stages.package",
}
"""The same of what needs the libraries of ``vlmforge[compile]``."""

_EXPORTS = _RUNNING | _COMPILING

__all__ = ["__version__", *_EXPORTS]

if TYPE_CHECKING:
    from vlmforge.calibrate.images import collect_images as collect_images
    from vlmforge.calibrate.record import record_language as record_language
    from vlmforge.calibrate.record import record_vision as record_vision
    from vlmforge.calibrate.text import record_text as record_text
    from vlmforge.config import BitConfig as BitConfig
    from vlmforge.config import CalibrationConfig as CalibrationConfig
    from vlmforge.config import CalibrationMethod as CalibrationMethod
    from vlmforge.config import CalibrationMode as CalibrationMode
    from vlmforge.config import CalibrationOutput as CalibrationOutput
    from vlmforge.config import CompileConfig as CompileConfig
    from vlmforge.config import EquivalentTransformationConfig as EquivalentTransformationConfig
    from vlmforge.config import HessianQuantConfig as HessianQuantConfig
    from vlmforge.config import InferenceScheme as InferenceScheme
    from vlmforge.config import LearnRoundingConfig as LearnRoundingConfig
    from vlmforge.config import LearnWeightScaleConfig as LearnWeightScaleConfig
    from vlmforge.config import LlmConfig as LlmConfig
    from vlmforge.config import SearchWeightScaleConfig as SearchWeightScaleConfig
    from vlmforge.decode.generate import Generation as Generation
    from vlmforge.decode.generate import Options as Options
    from vlmforge.decode.generate import Step as Step
    from vlmforge.decode.grammar import Grammar as Grammar
    from vlmforge.decode.log_probabilities import LogProbabilities as LogProbabilities
    from vlmforge.decode.prompt_read import PromptRead as PromptRead
    from vlmforge.decode.sampling import Sampling as Sampling
    from vlmforge.errors import BusyError as BusyError
    from vlmforge.errors import CalibrationError as CalibrationError
    from vlmforge.errors import CaptureError as CaptureError
    from vlmforge.errors import ClosedError as ClosedError
    from vlmforge.errors import ClusterError as ClusterError
    from vlmforge.errors import ConfigError as ConfigError
    from vlmforge.errors import FormatError as FormatError
    from vlmforge.errors import GraphError as GraphError
    from vlmforge.errors import ImageError as ImageError
    from vlmforge.errors import InstallError as InstallError
    from vlmforge.errors import LengthError as LengthError
    from vlmforge.errors import OutputError as OutputError
    from vlmforge.errors import PackageError as PackageError
    from vlmforge.errors import RotationError as RotationError
    from vlmforge.errors import RunError as RunError
    from vlmforge.errors import SignatureError as SignatureError
    from vlmforge.errors import SourceError as SourceError
    from vlmforge.errors import SystemFailure as SystemFailure
    from vlmforge.errors import VideoError as VideoError
    from vlmforge.errors import VlmforgeError as VlmforgeError
    from vlmforge.evaluation.package import evaluate_package as evaluate_package
    from vlmforge.evaluation.questions import Question as Question
    from vlmforge.evaluation.questions import evaluate as evaluate
    from vlmforge.evaluation.questions import read_questions as read_questions
    from vlmforge.evaluation.text import ProgramModel as ProgramModel
    from vlmforge.evaluation.text import evaluate_text as evaluate_text
    from vlmforge.evaluation.windows import Windowing as Windowing
    from vlmforge.evaluation.windows import read_texts as read_texts
    from vlmforge.formats.kv import Snapshot as Snapshot
    from vlmforge.formats.private import private_directory as private_directory
    from vlmforge.images.layout import Layout as Layout
    from vlmforge.inspection import inspect as inspect
    from vlmforge.original.reference import ReferenceModel as ReferenceModel
    from vlmforge.original.text import TextReference as TextReference
    from vlmforge.pipeline import compile_model as compile_model
    from vlmforge.pipeline import plan_model as _plan_model
    from vlmforge.publish.push import Pushed as Pushed
    from vlmforge.publish.push import push as push
    from vlmforge.run.chat import Chat as Chat
    from vlmforge.run.conversation import Conversation as Conversation
    from vlmforge.run.session import Session as Session
    from vlmforge.sample import checkpoint as _checkpoint
    from vlmforge.serve.answer import Answer as Answer
    from vlmforge.serve.engine import Engine as Engine
    from vlmforge.signing.keys import SigningKey as SigningKey
    from vlmforge.signing.package import sign_package as sign_package
    from vlmforge.source.checkpoint import Checkpoint as Checkpoint
    from vlmforge.stages.calibration import TextCalibration as TextCalibration
    from vlmforge.stages.mblt import mblt_compile as mblt_compile
    from vlmforge.stages.mxq import mxq_compile as mxq_compile
    from vlmforge.stages.package import write_package as write_package
    from vlmforge.stages.package import write_package_config as write_package_config
    from vlmforge.stages.package import write_package_embedding as write_package_embedding
    from vlmforge.stages.workspace import Workspace as Workspace

    compile = compile_model
    plan = _plan_model
    sample_checkpoint = _checkpoint
else:  # where type checkers do not look, lest every name seem to exist

    def __getattr__(name: str) -> Any:
        if name not in _EXPORTS:
            raise AttributeError(f"module 'vlmforge' has no attribute {name!r}")
        if name in _COMPILING and (absent := _absent(name)) is not None:
            return absent
        module, _, attribute = _EXPORTS[name].partition(":")
        value = globals()[name] = getattr(import_module(module), attribute or name)
        return value


def _absent(name: str) -> object:
    """What stands for a name whose libraries are missing; None if they are there."""
    from vlmforge.errors import InstallError
    from vlmforge.libraries import Absent, require_libraries

    try:
        require_libraries(f"vlmforge.{name}")
    except InstallError as error:
        return Absent.of(name, error)
    return None


def __dir__() -> list[str]:
    return sorted(__all__)
