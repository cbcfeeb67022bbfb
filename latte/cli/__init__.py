"""The command line, one module per command; nothing here imports torch at start-up."""
