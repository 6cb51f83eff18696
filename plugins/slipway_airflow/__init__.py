"""Airflow-facing code that is no Dag: assets, the step decorator, the gate operator, the shadow window's trigger."""
