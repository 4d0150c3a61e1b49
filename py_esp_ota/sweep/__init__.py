"""Pull the plug at every flash operation of a story, and see what boots."""
