"""The shapes that signatures of this layer name; tests run with them checked."""

from jaxtyping import Float, Float64, Int64
from torch import Tensor

Image = Float[Tensor, "batch channels height width"]
FreshNoise = Float[Tensor, "batch k channels height width"]  # one standard normal tensor of a random purifier
Logits = Float[Tensor, "batch classes"]
Labels = Int64[Tensor, " batch"]
PerImage = Float[Tensor, " batch"]
Times = Float64[Tensor, " batch"]  # noise levels on the [-1, 1] scale
PixelNoise = Float64[Tensor, " batch"]  # noise std of each image, in [0, 1] pixel units
