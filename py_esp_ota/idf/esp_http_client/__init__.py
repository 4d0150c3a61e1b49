"""``esp_http_client``: as much of it as an update uses (components/esp_http_client)."""
