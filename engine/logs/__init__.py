"""Certification logs of other people's programs: how they were made, what they prove, what they hide."""
