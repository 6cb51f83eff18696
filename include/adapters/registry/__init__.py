"""MLflow: the run page a person opens, the registered versions, and the alias that projects the ledger's champion.

The ledger decides; everything here can be written again from it. Calls are bounded in time, so that a dead or hung
server costs seconds and one clear line, not minutes.
"""

from include.adapters.registry.contract import ModelRegistry
from include.adapters.registry.server import RegistryUnreachable
from include.adapters.registry.signatures import CLASSES, model_signature, read_signature
from include.adapters.registry.versions import (
    CHALLENGER,
    CHAMPION,
    HEAD,
    HISTORY,
    MODEL_FILE,
    REFITTED,
    ModelToLog,
    Registered,
    Registry,
    Version,
    VersionMissing,
    VersionSourceRefused,
)

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "CLASSES",
    "HEAD",
    "HISTORY",
    "MODEL_FILE",
    "REFITTED",
    "ModelRegistry",
    "ModelToLog",
    "Registered",
    "Registry",
    "RegistryUnreachable",
    "Version",
    "VersionMissing",
    "VersionSourceRefused",
    "model_signature",
    "read_signature",
]
