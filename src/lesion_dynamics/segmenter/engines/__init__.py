"""What runs a network over windows: torch on processors and GPUs, OpenVINO on processors."""
