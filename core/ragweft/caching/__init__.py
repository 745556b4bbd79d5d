"""The semantic cache: what was found or answered before, served again where it is still right."""
