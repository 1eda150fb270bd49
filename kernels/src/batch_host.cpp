// The batch kernels as the host runs them: one unit after the other. Machines without a GPU test the templates here.
#include "purecert/batch_rows.h"

namespace purecert {
namespace {

struct HostRun {
  const NoiseBatch& batch;

  template <class Format, uint32_t Channels>
  void stores(uint32_t units) {
    for (uint32_t unit = 0; unit < units; ++unit) fill_unit<Format, Channels>(batch, unit);
  }
  template <class Format>
  void blocks(uint32_t blocks) {
    for (uint32_t number = 0; number < blocks; ++number) fill_any_block<Format>(batch, number);
  }
};

}  // namespace

void fill_batch(const NoiseBatch& batch, void*) {
  HostRun run{batch};
  dispatch(batch, run);
}

void count_votes(const VoteBatch& batch, void*) {
  const uint32_t first = batch.map.head->batch * batch.rows;
  for (uint32_t row = 0; row < batch.rows; ++row) {
    vote(batch, first, row, [](uint32_t* counter) { ++*counter; });
  }
  ++batch.map.head->batch;
}

}  // namespace purecert
