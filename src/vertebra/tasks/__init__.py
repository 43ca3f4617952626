"""What a model is for: heads, metrics."""
