"""What the pages show, as plain data: the plugin only renders it, and the REST routes give it as JSON.

Everything here is light: no numpy, pandas, MLflow or Delta, because Airflow's API server imports it. What needs those
was computed by a task and kept as small JSON in the journey's folder.
"""
