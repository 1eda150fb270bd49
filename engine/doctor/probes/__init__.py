"""What touches a native library, each called in a process of its own (engine/own_process.py)."""
