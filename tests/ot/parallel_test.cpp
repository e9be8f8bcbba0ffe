#include "monge/ot/core/parallel.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace monge {
namespace {

void expect_each_index_once(int threads, Index count) {
  std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
  std::atomic<bool> bad_worker = false;
  parallel_for(threads, count, [&](Index i, int worker) {
    ++seen[static_cast<std::size_t>(i)];
    if (worker < 0 || worker >= threads) bad_worker = true;
  });
  for (const std::atomic<int>& times : seen) ASSERT_EQ(times, 1);
  EXPECT_FALSE(bad_worker);
}

TEST(ParallelFor, RunsEachIndexOnce) {
  for (const int threads : {1, 2, 5}) {
    for (const Index count : {0, 1, 2, 1000}) expect_each_index_once(threads, count);
  }
}

TEST(ParallelFor, RunsEachIndexOnceInATeam) {
  with_team(3, [] {
    for (int loop = 0; loop < 2000; ++loop) {
      expect_each_index_once(1 + loop % 3, loop % 17);
      if (loop % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));  // helpers fall asleep
    }
    with_team(2, [] { expect_each_index_once(2, 50); });
  });
}

// Two tasks that wait for each other end only if two threads run them. 0 threads stands for the whole team.
TEST(ParallelFor, HelpersHelp) {
  for (const int threads : {0, 2}) {
    std::atomic<int> arrived = 0;
    bool together = true;
    const auto meet = [&] {
      arrived = 0;
      parallel_for(threads, 2, [&](Index, int) {
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        ++arrived;
        while (arrived < 2 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
        if (arrived < 2) together = false;
      });
    };
    with_team(2, meet);
    EXPECT_TRUE(together) << "in a team, threads = " << threads;
    if (threads == 2) meet();
    EXPECT_TRUE(together) << "threads = " << threads;
  }
}

TEST(ParallelFor, WorkersOfOneLoopAreNeverShared) {
  with_team(4, [] {
    for (int loop = 0; loop < 200; ++loop) {
      std::atomic<int> busy[4] = {};
      std::atomic<bool> shared = false;
      parallel_for(4, 40, [&](Index, int worker) {
        if (busy[worker]++ != 0) shared = true;
        std::this_thread::yield();
        --busy[worker];
      });
      ASSERT_FALSE(shared);
    }
  });
}

TEST(ParallelFor, LoopsInsideLoopsWork) {
  std::atomic<int> total = 0;
  const auto nested = [&] {
    parallel_for(2, 10, [&](Index, int) { parallel_for(2, 10, [&](Index, int) { ++total; }); });
  };
  nested();
  with_team(2, nested);
  EXPECT_EQ(total, 200);
}

TEST(ParallelFor, RethrowsWhatABodyThrows) {
  const auto throwing = [] {
    parallel_for(2, 100, [](Index i, int) {
      if (i == 37) throw std::runtime_error("37");
    });
  };
  EXPECT_THROW(throwing(), std::runtime_error);
  EXPECT_THROW(with_team(2, throwing), std::runtime_error);
  with_team(2, [&] {
    EXPECT_THROW(throwing(), std::runtime_error);
    expect_each_index_once(2, 100);  // the team goes on
  });
  EXPECT_THROW(with_team(2, [] { throw std::logic_error("work"); }), std::logic_error);
}

// OpenBLAS runs on as many threads as OpenMP allows: one inside a loop, and outside as many as before.
TEST(ParallelFor, LimitsOpenMpInsideItsTasksOnly) {
  const int default_threads = omp_get_max_threads(), before = 4;
  omp_set_num_threads(before);
  for (const int threads : {1, 3}) {
    std::atomic<int> most = 0;
    parallel_for(threads, 20, [&](Index, int) { most = std::max(most.load(), omp_get_max_threads()); });
    EXPECT_EQ(most, 1);
    EXPECT_EQ(omp_get_max_threads(), before);
    EXPECT_THROW(parallel_for(threads, 20, [](Index, int) { throw std::runtime_error("body"); }), std::runtime_error);
    EXPECT_EQ(omp_get_max_threads(), before);
  }
  omp_set_num_threads(default_threads);
}

}  // namespace
}  // namespace monge
