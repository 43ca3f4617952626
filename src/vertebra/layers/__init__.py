"""Parts of networks that know no model."""
