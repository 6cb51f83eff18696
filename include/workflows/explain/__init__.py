"""Questions about what is kept. In: the id of a candidate, a row, a table or a day. Out: where it came from, and
whether it can be made again."""
