"""Slipway's pages and REST routes inside Airflow's API server, under ``/slipway``.

Thin: a route checks the user, calls ``include.workflows``, and renders. Nothing here is imported by a task or by the
Dag processor; ``mount`` loads the application when the API server builds its middlewares.
"""
