"""What calls have in common that did well or badly, in words, with how sure one can be."""
