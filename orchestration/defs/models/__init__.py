"""Features, training and scores."""
