"""OpenVINO on the CPU: its graph, and what keeps a row that is no number from a vote there."""
