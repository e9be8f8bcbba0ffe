// Tensor cores: products of warps at once, those of warpgroups when they are waited for.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "emulator_machine.h"
#include "monge/ot/cuda/half.h"

namespace monge::ot::cuda::emulator {
namespace {

Warpgroup& my_warpgroup() { return machine.warpgroups[static_cast<std::size_t>(machine.place() / group_lanes)]; }

// Rows of 128 bytes, whose pieces of 16 bytes are where the bits of the address that count rows, 7 to 9, change those
// that count pieces, 4 to 6.
std::vector<std::uint16_t> read_operand(const unsigned char* first, int rows) {
  std::vector<std::uint16_t> out;
  for (int r = 0; r < rows; ++r) {
    for (int k = 0; k < 16; ++k) {
      const auto place = reinterpret_cast<std::uintptr_t>(first + 128 * r + 2 * k);
      std::uint16_t half;
      std::memcpy(&half, reinterpret_cast<const void*>(place ^ (place >> 7 & 7) << 4), sizeof half);
      out.push_back(half);
    }
  }
  return out;
}

// The sum of a tensor core: exact, then cut off, not rounded, to a float.
float cut_off(double sum) {
  const auto cut = static_cast<float>(sum);
  return std::abs(static_cast<double>(cut)) > std::abs(sum) ? std::nextafter(cut, 0.0f) : cut;
}

void make(Warpgroup& group, const Product& p) {
  if (read_operand(p.a, 64) != p.left || read_operand(p.b, 128) != p.right)
    fail("points were overwritten while they were multiplied");
  std::vector<double> left, right;
  for (const std::uint16_t half : p.left) left.push_back(static_cast<double>(half_value(half)));
  for (const std::uint16_t half : p.right) right.push_back(static_cast<double>(half_value(half)));
  for (int t = 0; t < group_lanes; ++t) {
    std::array<float, 64>& c = group.sums[p.sums[t]];
    for (int i = 0; i < 64; ++i) {  // of PTX: the place of c[i] in a thread's share of wgmma.m64n128k16
      const int row = t / 32 * 16 + i % 4 / 2 * 8 + t % 32 / 4, column = i / 4 * 8 + t % 4 * 2 + i % 2;
      double sum = p.fresh ? 0.0 : static_cast<double>(c[i]);
      for (int k = 0; k < 16; ++k) sum += left[16 * row + k] * right[16 * column + k];
      c[i] = cut_off(sum);
    }
  }
}

}  // namespace

void multiply(float* sums, const unsigned char* a, const unsigned char* b, bool fresh) {
  struct Mine {
    float* sums;
    const unsigned char *a, *b;
  } mine{sums, a, b};
  meet(
      "multiply", &mine,
      [&](void* const* lanes) {
        Product product{{}, a, b, fresh, read_operand(a, 64), read_operand(b, 128)};
        Warpgroup& group = my_warpgroup();
        for (int t = 0; t < group_lanes; ++t) {
          const Mine& lane = *static_cast<Mine*>(lanes[t]);
          if (lane.a != a || lane.b != b) fail("a warpgroup's operands differ");
          product.sums[t] = lane.sums;
          const bool moving = group.sums.contains(lane.sums);
          std::array<float, 64>& known = group.sums[lane.sums];
          if (!moving) std::copy_n(lane.sums, 64, known.begin());
          std::fill_n(lane.sums, 64, NAN);
        }
        group.started.push_back(std::move(product));
      },
      group_lanes);
}

void wait_products(int pending) {
  meet(
      "wait_products", nullptr,
      [&](void* const*) {
        Warpgroup& group = my_warpgroup();
        while (group.groups.size() > static_cast<std::size_t>(pending)) {
          for (const Product& p : group.groups.front()) make(group, p);
          group.groups.erase(group.groups.begin());
        }
        const auto moves = [&](float* sums) {
          const auto writes = [&](const Product& p) { return std::ranges::find(p.sums, sums) != std::end(p.sums); };
          return std::ranges::any_of(group.started, writes) ||
                 std::ranges::any_of(group.groups, [&](const auto& some) { return std::ranges::any_of(some, writes); });
        };
        std::erase_if(group.sums, [&](const auto& entry) {
          if (moves(entry.first)) return false;
          std::copy(entry.second.begin(), entry.second.end(), entry.first);
          return true;
        });
      },
      group_lanes);
}

}  // namespace monge::ot::cuda::emulator

namespace monge::ot::cuda {

void load_matrices(std::uint32_t (&out)[4], const void* row) {
  if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) emulator::fail("a matrix row that is not aligned");
  struct Mine {
    const void* row;
    std::uint32_t* out;
  } mine{row, out};
  emulator::meet("load_matrices", &mine, [](void* const* lanes) {
    for (int l = 0; l < 32; ++l) {
      for (int i = 0; i < 4; ++i) {
        const auto* from = static_cast<const unsigned char*>(static_cast<Mine*>(lanes[8 * i + l / 4])->row);
        std::memcpy(&static_cast<Mine*>(lanes[l])->out[i], from + 4 * (l % 4), 4);
      }
    }
  });
}

void end_products() {
  emulator::meet(
      "end_products", nullptr,
      [](void* const*) {
        emulator::Warpgroup& group = emulator::my_warpgroup();
        group.groups.push_back(std::move(group.started));
        group.started = {};
      },
      emulator::group_lanes);
}

void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  struct Mine {
    float* c;
    const std::uint32_t* a;
    std::uint32_t b[2];
  } mine{c, a, {b0, b1}};
  emulator::meet("multiply_add", &mine, [](void* const* lanes) {
    double left[16][16], right[16][8];
    const auto value = [](std::uint32_t pair, int second) {
      return static_cast<double>(half_value(static_cast<std::uint16_t>(pair >> (16 * second))));
    };
    // The layouts of PTX: registers of a are rows g and g + 8 by k 2t.. and 2t + 8.., of b the same k of column g.
    for (int l = 0; l < 32; ++l) {
      const Mine& lane = *static_cast<Mine*>(lanes[l]);
      const int g = l / 4, t = l % 4;
      for (int r = 0; r < 4; ++r) {
        for (int e = 0; e < 2; ++e) left[g + 8 * (r % 2)][2 * t + e + 8 * (r / 2)] = value(lane.a[r], e);
      }
      for (int r = 0; r < 2; ++r) {
        for (int e = 0; e < 2; ++e) right[2 * t + e + 8 * r][g] = value(lane.b[r], e);
      }
    }
    for (int l = 0; l < 32; ++l) {
      Mine& lane = *static_cast<Mine*>(lanes[l]);
      for (int q = 0; q < 4; ++q) {
        const int i = l / 4 + 8 * (q / 2), j = l % 4 * 2 + q % 2;
        double sum = static_cast<double>(lane.c[q]);
        for (int k = 0; k < 16; ++k) sum += left[i][k] * right[k][j];
        lane.c[q] = emulator::cut_off(sum);
      }
    }
  });
}

}  // namespace monge::ot::cuda
