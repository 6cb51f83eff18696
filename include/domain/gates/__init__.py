"""The gates: pure functions from evidence and declared bounds to a ``GateResult``.

>>> from include.domain.metrics import Task
>>> holdout = Evidence(Task.BINARY, y=[0, 1] * 20, candidate=[0.1, 0.9] * 20)
>>> threshold_gate([Bound("roc_auc", Direction.AT_LEAST, 0.8)], holdout, mode=Mode.BLOCKING, min_rows=40).verdict
<Verdict.PASS: 'PASS'>
"""

from include.domain.gates.canary import Following, canary_gate, following
from include.domain.gates.champion import NO_EARLIER_WINDOW, EarlierWindow, champion_gate
from include.domain.gates.champion_rules import BadRule, ChampionRules, ComparisonRule, FirstDeployment
from include.domain.gates.evidence import BadEvidence, Evidence, RowValues
from include.domain.gates.fairness import FairnessRule, Measure
from include.domain.gates.judged_comparison import judge_comparison
from include.domain.gates.latency import LatencyRules, latency_gate
from include.domain.gates.leakage import Availability, LeakageRules, Split, late_rows, leakage_gate, split_of
from include.domain.gates.own import HeldOut, own_gate
from include.domain.gates.packed import PackedEvidence, PackedRules, RowsHeld, packed_gate
from include.domain.gates.signature import InputColumn, Signature, SignatureRules, signature_gate
from include.domain.gates.slices import SliceRules, slice_gate
from include.domain.gates.smoke import Probe, SmokeEvidence, SmokeRules, smoke_gate
from include.domain.gates.threshold import Bound, threshold_gate
from include.domain.gates.training_data import TrainingDataRules, TrainingDataSummary, training_data_gate
from include.domain.timing import Timing
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict, against_bound

__all__ = [
    "NO_EARLIER_WINDOW",
    "Availability",
    "BadEvidence",
    "BadRule",
    "Bound",
    "ChampionRules",
    "ComparisonRule",
    "CriterionResult",
    "Direction",
    "EarlierWindow",
    "Evidence",
    "FairnessRule",
    "FirstDeployment",
    "Following",
    "GateResult",
    "HeldOut",
    "InputColumn",
    "LatencyRules",
    "LeakageRules",
    "Measure",
    "Mode",
    "PackedEvidence",
    "PackedRules",
    "Probe",
    "RowValues",
    "RowsHeld",
    "Signature",
    "SignatureRules",
    "SliceRules",
    "SmokeEvidence",
    "SmokeRules",
    "Split",
    "Timing",
    "TrainingDataRules",
    "TrainingDataSummary",
    "Verdict",
    "against_bound",
    "canary_gate",
    "champion_gate",
    "following",
    "judge_comparison",
    "late_rows",
    "latency_gate",
    "leakage_gate",
    "own_gate",
    "packed_gate",
    "signature_gate",
    "slice_gate",
    "smoke_gate",
    "split_of",
    "threshold_gate",
    "training_data_gate",
]
