"""Tools for plugin authors: write the files of a new plugin, and check an installed plugin."""
