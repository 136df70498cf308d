"""What a tracking store has not taken yet: on disk first, delivered later, in order, once."""
