"""OpenVINO on the CPU: its graph, and what keeps a row with NaN from a vote there."""
