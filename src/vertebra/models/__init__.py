"""One file per architecture around a shared shell."""
