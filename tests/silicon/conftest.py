"""pytest looks for modules beside a conftest: so the rooms below find ``builds``, ``side_by_side`` and their like.

``ENGINE=unicorn`` in the environment runs every test that asks for no engine on that one: ``make test-unicorn``.
"""

import os

from py_esp_ota.silicon.engines import choice

choice.AUTO = os.environ.get("ENGINE", choice.AUTO)
