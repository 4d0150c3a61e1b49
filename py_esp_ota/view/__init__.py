"""Pictures of a device and of a job, for terminals."""
