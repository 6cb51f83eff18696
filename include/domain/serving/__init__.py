"""What the online service decides without a disk or a clock: who serves, and whether a request can be answered.

Nothing is imported here, so that a worker imports no more than it needs.
"""
