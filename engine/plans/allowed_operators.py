"""What a plan's graph may hold: the one list of operators, and the bounds of its forms and sizes.

A plan comes from elsewhere, and a runtime runs what it says. So a graph is a straight line of tensor operators that
give the same output for the same input, and whose sizes follow from the batch alone; `graph_check.py` reads it.
"""

from collections.abc import Mapping

_DATA_DEPENDENT = (
    "NonZero",
    "Unique",
    "Compress",
    "NonMaxSuppression",
    "Loop",
    "If",
    "Scan",
    "SequenceMap",
    "StringSplit",
)
_RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial")
# What is refused with a reason of its own; all that the list below lacks is refused too.
FORBIDDEN = {
    **dict.fromkeys(_DATA_DEPENDENT, "gives shapes or work that depend on values, where masks (torch.where) would not"),
    **dict.fromkeys(_RANDOM, "draws at random, and a vote must be one function of the pixels and the noise given"),
    **dict.fromkeys(("RNN", "GRU", "LSTM"), "is a loop, and an engine has none"),
    "DynamicQuantizeLinear": "takes its scale over the whole batch, and rows must not see each other",
}

# The operators, by how the shape of what they give follows from what they take.
AS_FIRST, BROADCAST, REDUCED, POOLED, OWN = "as the first input", "broadcast", "reduced", "pooled", "by its own rule"
_ALLOWED = {
    AS_FIRST: (
        "Abs Acos Acosh Asin Asinh Atan Atanh BatchNormalization BitwiseNot Cast CastLike Ceil Celu Clip Cos Cosh "
        "CumSum DequantizeLinear Dropout Elu Erf Exp EyeLike Floor Gelu GroupNormalization HardSigmoid HardSwish "
        "Hardmax Identity InstanceNormalization IsInf IsNaN LRN LayerNormalization LeakyRelu Log LogSoftmax "
        "LpNormalization MeanVarianceNormalization Mish Neg Not QuantizeLinear RMSNormalization Reciprocal Relu Round "
        "ScatterElements ScatterND Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Swish Tan Tanh "
        "ThresholdedRelu Trilu"
    ),
    BROADCAST: (
        "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean "
        "Min Mod Mul Or PRelu Pow Sub Sum Where Xor"
    ),
    REDUCED: (
        "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
        "ReduceSumSquare"
    ),
    POOLED: "AveragePool LpPool MaxPool",
    OWN: (
        "ArgMax ArgMin Attention Concat Constant ConstantOfShape Conv ConvInteger ConvTranspose DepthToSpace Einsum "
        "Expand Flatten Gather GatherElements GatherND Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample "
        "MatMul MatMulInteger OneHot Pad QLinearConv QLinearMatMul Range Reshape Resize Shape Size Slice SpaceToDepth "
        "Split Squeeze Tile TopK Transpose Unsqueeze"
    ),
}
OPERATORS: Mapping[str, str] = {name: group for group, names in _ALLOWED.items() for name in names.split()}

DOMAINS = frozenset(("", "ai.onnx"))  # two spellings of ONNX's own; export writes the first
OPSETS = range(13, 26)  # from where axes are inputs; export writes 20
IR_VERSIONS = range(7, 15)

# Attributes that are text. Any other one that is text is refused.
TEXT_ATTRIBUTES = frozenset(
    ("auto_pad", "mode", "equation", "approximate", "coordinate_transformation_mode", "nearest_mode", "round_mode")
) | {"keep_aspect_ratio_policy", "padding_mode", "reduction"}

# TensorProto.DataType -> bytes an element. No text, no complex numbers, nothing that packs two numbers in a byte.
TYPE_BYTES: Mapping[int, int] = {
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20), 1),  # uint8, int8, bool, four kinds of float8
    **dict.fromkeys((4, 5, 10, 16), 2),  # uint16, int16, float16, bfloat16
    **dict.fromkeys((1, 6, 12), 4),  # float32, int32, uint32
    **dict.fromkeys((7, 11, 13), 8),  # int64, float64, uint64
}

MAX_FILE_BYTES = 2**31 - 1  # what one Protocol Buffers message holds
# Fields of a model: so many, and one more for so many bytes, which for the most part are weights; a flood of empty
# fields is not read to its end.
LEAST_FIELDS, BYTES_A_FIELD = 100_000, 64
MAX_FIELDS = 2_000_000  # an exported node takes about 40, its shapes counted; reading as many takes some 5 s
MAX_NODES = 50_000  # thirty evaluations of a U-Net for ImageNet in a row
MAX_NAME_BYTES = 4096
MAX_RANK = 12
MAX_WINDOW = 2**16  # of a kernel, a stride, a dilation or padding, along one axis

# Sizes are those at a batch of this many rows, and compared with so many times what a row may have.
ROWS = 1024
# Elements that are alive at once, a row; ADM at 512 x 512 has 4e8.
MAX_ALIVE = 2**30
# Multiplications and elements written, a row; 250 steps of ADM at 256 x 256 take 3e14.
MAX_WORK = 2**50
# Elements that are computed from weights alone, which a runtime does when it opens the graph: so many, and so many
# for each element that the file holds. The work for them may be so many times that.
MAX_FOLDED = 2**26
FOLDED_PER_STORED = 16
FOLDED_WORK = 64
