"""What touches a native library, each called in a process of its own (engine/doctor/process.py)."""
