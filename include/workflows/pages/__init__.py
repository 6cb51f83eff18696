"""What the pages show, as plain data. In: the ledger and small files of journeys. Out: values that the plugin
renders, REST returns, and notices say.

Everything here is light: no numpy, pandas, MLflow or Delta, because Airflow's API server imports it. What needs those
was computed by a task and kept as small JSON in the journey's folder.
"""
