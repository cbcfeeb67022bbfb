"""Registry of components: declare, find, name and build them."""
