"""The wire formats of text-generating services, one file each."""
