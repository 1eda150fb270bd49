"""How is an image answered for: the sampling plan, CERTIFY, PREDICT, and when the draws may stop."""
