"""Seeded bad candidates against every gate of a declared model. In: a declaration. Out: which gate stopped which
seed.

``seeds`` says what they are, ``world`` makes the rows and the honest models, ``candidates`` the parts of a candidate,
``defects`` the bad ones, and ``bench`` lets the gates judge them.
"""
