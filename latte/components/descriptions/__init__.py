"""Description types: what is asked about a class, an image or a group."""
