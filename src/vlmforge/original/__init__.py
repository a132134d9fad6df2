"""The original model: whole, streamed weight by weight, and as a reader of texts."""
