"""``esp_https_ota``: download an image into the next slot (components/esp_https_ota); it begins in ``https_ota``."""
