"""Reports: the HTML page and the model card."""
