"""A RainMaker-compatible OTA cloud: images, jobs, nodes and accounts behind REST and MQTT.

Start reading at ``jobs.py``: it holds every rule of an OTA job and touches nothing. ``service.py`` is the whole cloud
as one object; ``api`` puts RainMaker's HTTP paths in front of it.
"""
