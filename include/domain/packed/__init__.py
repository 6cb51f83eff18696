"""Fitted models as plain arrays, and what is asked of them to prove that they answer like the pipeline they came from.

``reader`` is all that answering needs: one file, numpy and nothing else, so that a service or a small device can carry
it without scikit-learn. Nothing is imported here, for the same reason.
"""
