"""Make the HTML page of one run."""
