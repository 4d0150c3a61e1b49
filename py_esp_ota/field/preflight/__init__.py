"""Will this update run on that board, and what if it does not? The question before an update, answered beforehand.

``preflight.py`` puts the answer together. The verdict is played, not guessed: ``play.py`` boots the flash, lets the app
in it take the update by ``esp_ota_ops``, and boots again, all on a copy. What is found on the way has a name, a weight
and the upstream function that decides it (``finding.py``); ``rules.py`` looks at image and board, ``audit.py`` at what
a rollback would land on, ``texts.py`` at what machine code says of itself.
"""
