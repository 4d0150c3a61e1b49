"""Many devices at once: what is equal in them happens once."""
