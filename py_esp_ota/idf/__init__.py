"""ESP-IDF's side of an update: the second-stage bootloader, ``esp_ota_ops``, ``esp_https_ota``, and their console."""
