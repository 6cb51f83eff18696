"""The processes of one machine. In: a home folder and the ports. Out: Airflow and MLflow that run, are watched, and
replay the demonstration."""
