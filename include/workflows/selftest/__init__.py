"""Seeded bad candidates against every gate of a declared model. ``seeds`` says what they are, ``world`` makes the rows
and the honest models, ``candidates`` makes the bad ones, ``bench`` lets the gates judge them."""
