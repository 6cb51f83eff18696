"""Mutation testing of the domain: each single change of an operator, a number or a condition must turn a test red."""
