"""One interval of a view, from the source to the published table. In: a declared view and an interval. Out: audited
rows, published by key, and their record."""
