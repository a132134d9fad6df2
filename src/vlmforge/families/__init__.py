"""Model families, one a file: what makes a family differ from the others, as declarations."""
