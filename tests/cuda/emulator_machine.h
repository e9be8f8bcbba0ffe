// What the parts of the emulator know of each other.
#pragma once
#include <array>
#include <map>
#include <vector>

#include "emulator.h"

namespace monge::ot::cuda::emulator {

struct Copy {
  void* to;
  const void* from;
};

struct Fiber {
  unsigned char* stack = nullptr;
  void* top = nullptr;
  Here here;
  bool done = false;
  std::vector<std::vector<Copy>> groups;  // ended ones
  std::vector<Copy> started;
  std::vector<Arrival*> made;  // and not shown
};

constexpr int group_lanes = 128;

// The lanes of a warp or a warpgroup.
struct Crowd {
  const char* operation = nullptr;
  void* lanes[group_lanes] = {};
  int arrived = 0;
  Index times = 0;
};

// 64 x 16 times 16 x 128 on their way, of a warpgroup.
struct Product {
  float* sums[group_lanes];
  const unsigned char *a, *b;
  bool fresh;
  std::vector<std::uint16_t> left, right;  // what the operands were
};
struct Warpgroup {
  std::vector<std::vector<Product>> groups;  // ended ones
  std::vector<Product> started;
  std::map<float*, std::array<float, 64>> sums;  // of products on their way
};

struct Phases {
  int times = 0, missing = 0, ended = 0;
  long bytes = 0;  // that are yet to come
  bool shown = false;
};
struct BulkCopy {
  unsigned char* to;
  const unsigned char* from;
  int bytes;
  Arrival* arrival;
};

struct Machine {
  std::vector<Fiber> fibers;
  std::vector<Crowd> warps, crowds;  // of 32, of 128
  std::vector<Warpgroup> warpgroups;
  const std::function<void()>* body = nullptr;
  void* scheduler = nullptr;
  Fiber* current = nullptr;
  struct Barrier {
    int arrived = 0;
    Index times = 0;
  };
  std::vector<Barrier> barriers;  // of each block, then of all
  Index progress = 0;
  int threads = 0;  // of a block
  std::map<Arrival*, Phases> arrivals;
  std::vector<BulkCopy> bulk_copies;

  void run_blocks(const std::vector<Here>& blocks);
  bool run_once(const std::vector<int>& turn);
  int place() const { return here.rank * threads + here.thread; }  // among all that run
  void prepare(Fiber& fiber);
  void yield();
};
extern Machine machine;

[[noreturn]] void fail(const char* what, const char* detail = "");  // ends the program
void wait_for(std::size_t barrier);                                 // of a block, or the last: of all that run together

}  // namespace monge::ot::cuda::emulator
