"""Publishing: a package to the Hugging Face Hub, with a model card."""
