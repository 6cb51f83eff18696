"""Slipway's own code. Nothing in here imports Airflow: Dags call workflows, workflows join adapters and domain."""

import os

# Read once, when scikit-learn loads OpenMP: an idle thread sleeps instead of spinning, which on a busy machine is the
# difference between two seconds and forty.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
