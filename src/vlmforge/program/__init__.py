"""The integer program of a component: buffers, instructions and packed tensors."""
