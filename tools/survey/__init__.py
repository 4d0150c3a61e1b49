"""Compiled bootloaders, apps and merged images of other projects, found by package name and tried on our machine code.

``make survey OF="FOLDER|PACKAGE ..."``: ``found.py`` takes files out of folders and packages, ``tries.py`` switches a
chip on with each, ``table.py`` keeps what came of it in docs/reference/silicon.md.
"""
