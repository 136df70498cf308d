"""What is done with the tracking store itself."""
