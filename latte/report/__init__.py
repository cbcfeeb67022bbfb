"""Show results: pages, comparison, diagnosis, model card, and terminal output."""
