"""Virtual nodes beside a cloud: boards that live in the server, flashes opened up, a population that is kept.

``cloud/virtual_nodes.py`` is the door, ``population.Population`` what stands behind it.
"""
