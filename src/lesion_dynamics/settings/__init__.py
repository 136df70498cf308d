"""The typed schema of every configuration key.

Hydra composes the YAML files of ``conf/`` at start-up; what it composed is validated here,
once, and from then on the program sees only these types. An unknown or ill-typed key is a
`ConfigurationError` that names the key, where it came from and what is allowed.

This package knows neither Hydra nor torch: settings can be built from any plain dictionary.
"""
