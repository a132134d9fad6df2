"""An engine behind the interface of OpenAI's servers."""
