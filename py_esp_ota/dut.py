"""A device under test that is spoken to as pytest-embedded speaks to a board."""
