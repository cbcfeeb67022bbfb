"""Using a run's model: any images, as they come, from Python and from the command line."""
