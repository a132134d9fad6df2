"""Codes and scales learned by gradient descent through a model of the integer machine."""
