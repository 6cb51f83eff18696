"""Rows as they were known at their time, and the answers of models to them. In: published features, labels and model
files. Out: training sets and logged predictions."""
