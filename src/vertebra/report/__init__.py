"""Records as pages, tables and curves; needs no torch."""
