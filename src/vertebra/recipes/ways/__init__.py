"""How a recipe is made to learn in another way, one file per method."""
