"""The audit of CERTIFY and PREDICT: how often they claim what is not true, where the truth is known."""
