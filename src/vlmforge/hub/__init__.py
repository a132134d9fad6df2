"""The Hugging Face Hub: names on it, what is fetched from it, and how it fails."""
