"""Show results: pages, comparison, model card, and terminal output."""
