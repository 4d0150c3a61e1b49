"""Very many devices in one process: what is equal in their lives happens once.

A life is what a device does, given what it hears. Devices that are made alike (``breed``) and hear alike do alike, each
with its own name and at its own times. So the first one of a breed is a real device on a loop of its own (``walker``),
and its steps are written down in a tree (``tree``); the others follow it there (``member``), and who hears something
new plays its own past on a real device and walks on from there. ``crowd`` puts them under a cloud.
"""
