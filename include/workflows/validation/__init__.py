"""Says what is wrong with declarations before anything runs. In: declarations, and the source they name. Out:
sentences, each with file and line.

``declared`` collects the answer of ``slipway validate``; ``queries`` binds features.sql and label.sql to the source's
schema; ``source_shapes`` asks the source for that schema, once for each table.
"""
