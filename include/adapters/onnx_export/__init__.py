"""ONNX in an environment of its own: a model file is converted there, and its answers come back to be compared.

The libraries of ONNX need another protobuf than the project, so nothing of them is imported here (docs/adr/0049).
"""

from include.adapters.onnx_export.asking import (
    ENVIRONMENT,
    REQUIREMENTS,
    ConversionFailed,
    EnvironmentMissing,
    OnnxAnswers,
    converted,
    python_of,
)

__all__ = [
    "ENVIRONMENT",
    "REQUIREMENTS",
    "ConversionFailed",
    "EnvironmentMissing",
    "OnnxAnswers",
    "converted",
    "python_of",
]
