"""How an index finds out what it can about its own corpus."""
