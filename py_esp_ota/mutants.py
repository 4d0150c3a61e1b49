"""Bugs on purpose, each a value that can be switched on: what a test suite is measured against."""
