"""The transformations, one a file: each leaves the function of a graph as it is."""
