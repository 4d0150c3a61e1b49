"""pytest looks for modules beside a conftest: so the rooms below find ``builds``, ``side_by_side`` and their like."""
