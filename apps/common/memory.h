#pragma once
#include <string>

namespace monge::apps {

// Of this process, in bytes: the most it has held so far, and what it holds now; 0 where /proc does not say.
double peak_memory();
double resident_memory();
// Makes the peak what is held now, where Linux lets it; elsewhere peaks go on to be those of the whole process.
void reset_peak_memory();

// What a program may hold. Work says what it is about to take, so that a refusal comes before the memory is spent.
class MemoryBudget {
 public:
  // megabytes (10^6 bytes): of the whole process; 0 = nine tenths of what the machine, or the process's own limits,
  // have left.
  explicit MemoryBudget(double megabytes);

  double left() const;  // bytes, never negative
  // Throws Error(out_of_memory), one line: `what` would take so much, the budget is so large.
  void require(double bytes, const std::string& what) const;

 private:
  bool given_;
  double bytes_;
};

// "12 MB", "3.4 GB".
std::string megabytes(double bytes);

}  // namespace monge::apps
