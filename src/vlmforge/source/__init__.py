"""The model to compile: its checkpoint, its processor and its original arithmetic."""
