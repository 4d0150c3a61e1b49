"""The second-stage bootloader (components/bootloader, bootloader_support): one boot begins in ``start``."""
