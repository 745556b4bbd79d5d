"""A question read for the gate: tokens, figures, names, what is asked, and the words in order."""
