"""Registry of installed components: plugins declare them, recipes name them, runs build them."""
