"""Files: written whole or not at all, read as untrusted, shown without secrets."""
