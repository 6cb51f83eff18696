"""A successor that takes a share of live traffic: who is in the share, what speaks against it, how much can be shown.

Nothing is imported here, so that a worker that only draws units imports no more than it needs.
"""
