"""The online service: workers that answer, a keeper that says for whom, a supervisor that holds them together.

A worker imports neither pandas, scikit-learn, MLflow nor SQLAlchemy, so nothing is imported here.
"""
