#include "purecert/lanes_portable.h"

namespace purecert {

const RowFunctions kPortableRows = row_functions<PortableLanes>("portable");

}  // namespace purecert
