"""What a person labels next: the least certain tiles of a run."""
