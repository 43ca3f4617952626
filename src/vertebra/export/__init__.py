"""How a trained model leaves: published, converted, served."""
