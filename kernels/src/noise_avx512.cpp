#include "purecert/lanes_avx512.h"

namespace purecert {

const RowFunctions kAvx512Rows = row_functions<Avx512Lanes>("avx512");

}  // namespace purecert
