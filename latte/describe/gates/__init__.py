"""Built-in gates, a module each; none needs torch."""
