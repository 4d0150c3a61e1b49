"""Change the partition table or the bootloader of a device in the field, and know what a power cut would do.

``facts.py`` reads a dump; ``layout.py`` says what of it has to go where; ``orders.py`` makes every order of steps that
could get there; ``verdict.py`` cuts each of them at every flash operation with the engine of ``sweep``, boots what is
left and lets the app go on; ``plan.py`` puts the answer together. ``steps.py`` is what a step does, ``board.py`` the
device that does it, ``snippets.py`` the same as code.
"""
