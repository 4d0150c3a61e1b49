"""What executes machine code: one module for each engine, all behind the protocol in ``engine.py``."""
