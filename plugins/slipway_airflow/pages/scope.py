"""What a root middleware keeps in the scope of a request."""

ROOT = "slipway.airflow"
"""Where Airflow's own application is kept, for calls to its REST API as the same user."""
