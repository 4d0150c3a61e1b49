"""``app_update``: what a running app does about the next one (components/app_update); ``ota_ops`` says which file."""
