"""What projects on top of ESP-IDF do with an update: how they write it, confirm it, and get out of a crash loop.

``profile.py`` says what is known of a project, ``data/`` what is known of each, with the source of every claim;
``named`` finds one. Their updaters are in ``updaters/``, their apps in ``apps.py``, and ``stories.py`` makes of both
something that can be swept.
"""
