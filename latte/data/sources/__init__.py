"""Building blocks of datasets: read folders, lists of images, split files and class names."""
