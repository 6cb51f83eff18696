"""Makes the pages of the documentation that can be read out of the code, and checks the site's links.

The pages are not committed: they would be wrong after the next change of the code until somebody made them again.
`make docs` makes them each time, and `tests/unit/docs/test_reference.py` holds what they are made of to the code.
"""
