"""The command line of the runtime, one file a command; `options.py` holds what several share."""
