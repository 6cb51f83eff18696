"""Use cases that join domain and adapters. A Dag task is one call to one of them."""
