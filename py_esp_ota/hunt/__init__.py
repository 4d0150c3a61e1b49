"""Worlds made by chance, what must hold in each, and what became of a board for which it did not."""
