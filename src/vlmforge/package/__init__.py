"""Joins the compiled programs, the rotated embedding and the tokenizer into one directory."""
