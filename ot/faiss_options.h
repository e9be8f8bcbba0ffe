#pragma once

namespace monge::ot {

enum class FaissIndex { flat, ivf, hnsw };
const char* to_string(FaissIndex index);

struct FaissOptions {
  FaissIndex index = FaissIndex::flat;  // flat is exact; ivf and hnsw are approximate: measure their recall
  int lists = 0;                        // ivf: number of cells, at most N; 0 = 4 sqrt(N), fewer where N is small
  int probes = 16;                      // ivf: cells searched; more = higher recall, slower
  int links = 32;                       // hnsw: neighbours per node
  int search_width = 64;                // hnsw: candidates kept during a search
};

}  // namespace monge::ot
