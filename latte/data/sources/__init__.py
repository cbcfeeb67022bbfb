"""Parts of the built-in datasets: folders, lists, splits and class names."""
