"""The metrics a model may be judged by, one file for each family, and how each is measured.

What a metric needs of its data is checked first: missing values, a single class, or no rows give no value and a reason,
never a NaN and never an exception, because a NaN compares false with every bound and so passes gates.

Shapes, for ``n`` rows: ``y`` is ``(n,)``: 0 or 1 (binary), the class's position 0..k-1 (multiclass), or a value
(regression). ``score`` is ``(n,)``: the probability of the positive class, or the predicted value; for multiclass it is
``(n, k)``.

A new metric is a function and a ``Metric`` in one of the files, its line in ``registry.py``, and its name in
``include/domain/metric_names.py``, which Dag files read without numpy.
"""

from include.domain.metrics.kinds import LEAST_SUPPORT as LEAST_SUPPORT
from include.domain.metrics.kinds import Cells as Cells
from include.domain.metrics.kinds import Floats as Floats
from include.domain.metrics.kinds import Ints as Ints
from include.domain.metrics.kinds import Metric as Metric
from include.domain.metrics.kinds import OwnMetricFailed as OwnMetricFailed
from include.domain.metrics.kinds import ShapesDiffer as ShapesDiffer
from include.domain.metrics.kinds import Support as Support
from include.domain.metrics.kinds import Task as Task
from include.domain.metrics.kinds import ratio as ratio
from include.domain.metrics.measuring import Measurement as Measurement
from include.domain.metrics.measuring import as_floats as as_floats
from include.domain.metrics.measuring import measure as measure
from include.domain.metrics.measuring import measure_all as measure_all
from include.domain.metrics.measuring import why_bad_labels as why_bad_labels
from include.domain.metrics.measuring import why_bad_scores as why_bad_scores
from include.domain.metrics.measuring import why_unusable as why_unusable
from include.domain.metrics.probabilities import ECE_BINS as ECE_BINS
from include.domain.metrics.probabilities import equal_mass_bins as equal_mass_bins
from include.domain.metrics.ranking import average_precision as average_precision
from include.domain.metrics.ranking import roc_auc as roc_auc
from include.domain.metrics.registry import METRICS as METRICS
from include.domain.metrics.registry import UnknownMetric as UnknownMetric
from include.domain.metrics.registry import metric_of as metric_of
