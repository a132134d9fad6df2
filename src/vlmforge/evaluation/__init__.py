"""How well packages answer questions and predict texts."""
