"""Slipway's own code. Nothing in here imports Airflow: Dags call workflows, workflows join adapters and domain."""
