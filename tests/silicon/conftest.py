"""pytest looks for modules beside a conftest: so the rooms below find ``builds``, ``side_by_side`` and their like.

``ENGINE=unicorn`` in the environment runs every test that does not ask for an engine on that one: ``make test-engines``.
"""

import os

from py_esp_ota.silicon.engines import choice

choice.AUTO = os.environ.get("ENGINE", choice.AUTO)
