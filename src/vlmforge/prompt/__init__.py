"""Messages become token ids: templates, tokenizer, placeholders and positions."""
