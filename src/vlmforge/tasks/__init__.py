"""Tasks: a function over many items, computed here or on the machines of a Ray cluster."""
