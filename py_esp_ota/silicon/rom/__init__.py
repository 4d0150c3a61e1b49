"""A chip's ROM: its functions as small Python functions, or its own machine code."""
