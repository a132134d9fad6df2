"""How the bundled sample model is made: data, training, export and evaluation."""
