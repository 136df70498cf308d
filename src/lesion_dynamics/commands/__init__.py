"""The console command ``lesion-dynamics``: one file a command, each with ``main(arguments)``."""
