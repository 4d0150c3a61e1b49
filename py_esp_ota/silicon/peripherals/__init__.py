"""The devices of a chip: the registers they answer for, and the interrupts they ask for."""
