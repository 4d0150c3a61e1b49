"""Chips as numbers: where everything is, and what each register says. Nothing here acts."""
