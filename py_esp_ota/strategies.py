"""Hypothesis strategies: flashes, images and faults to search with."""
