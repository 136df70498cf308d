"""Repeatability of a model version: perturbed copies of scans, or true rescans."""
