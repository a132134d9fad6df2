"""The stages of a compilation, each a function that runs from its predecessor's files."""
