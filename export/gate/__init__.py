"""Does a plan vote as eager FP32 does: the gate that refuses plans."""
