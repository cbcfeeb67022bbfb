"""Gates: which texts are not fit to teach."""
