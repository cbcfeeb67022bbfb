"""Where images come from: folders, lists and published splits."""
