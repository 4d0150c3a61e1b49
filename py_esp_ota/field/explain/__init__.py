"""A pasted console, of any release since v3.3 and any project: what happened, why, what shows it, what to do.

``reader`` cleans lines, ``formats`` and the tables ``said_by_*`` know what upstream prints, ``facts`` are what is left;
``course`` says how each boot was decided, the tables ``rules_of_*`` find causes, and ``reproduce`` plays them again.
"""
