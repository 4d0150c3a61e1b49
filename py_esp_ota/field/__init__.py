"""Answers for who stands before a board with a log, a dump or a .bin: each room here is one question."""
