"""Everything that shows numbers: pages, comparison, diagnosis, model card, terminal."""
