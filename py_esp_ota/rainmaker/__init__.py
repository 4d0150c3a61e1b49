"""The ESP RainMaker agent of a node, and the words it shares with the cloud (``messages``)."""
