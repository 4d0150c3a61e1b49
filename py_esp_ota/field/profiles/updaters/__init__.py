"""How each project writes an update: its own updater over ``esp_ota_ops`` and ``esp_partition``."""
