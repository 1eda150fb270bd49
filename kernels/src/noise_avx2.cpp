#include "purecert/lanes_avx2.h"

namespace purecert {

const RowFunctions kAvx2Rows = row_functions<Avx2Lanes>("avx2");

}  // namespace purecert
