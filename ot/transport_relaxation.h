#pragma once  // private: never installed
#include <deque>
#include <vector>

#include "monge/ot/transport_tree.h"

namespace monge::ot::detail {

struct MassOnArc {
  Arc arc;
  Int128 mass = 0;
};

// Epsilon relaxation (Bertsekas and Eckstein, Dual coordinate step methods for linear network flow problems,
// Mathematical Programming 42, 1988) over some arcs, from prices that are nearly right: rows bid for the column that is
// best for them; columns that have too much send back what is dearest, at a price lower by epsilon.
class Relaxation {
 public:
  // Arcs with the masses they have. Borrows what is still to be placed of supply and demand (< 0: a column has too
  // much), and column potentials v, and changes all three.
  Relaxation(std::vector<Int128>& supply, std::vector<Int128>& demand, std::vector<double>& v,
             const std::vector<MassOnArc>& arcs);

  // How far apart the choices of a row are, on average.
  double spacing() const;
  // Until all is placed where it costs no row epsilon more than its best choice, or that takes long, as it does where
  // the arcs do not allow it at all.
  void relax(double epsilon);
  // The arcs with mass.
  std::vector<MassOnArc> plan() const;

 private:
  void wait(std::int32_t x);
  void give_back(std::int32_t e, Int128 mass);
  void bid(std::int32_t i, double epsilon);
  void settle(std::int32_t j, double epsilon);

  struct Offer {
    double price;
    std::int32_t arc;
  };
  std::vector<Int128>&supply_, &demand_;
  std::vector<double>& v_;
  std::vector<double> u_;
  std::vector<std::int32_t> row_begin_, col_begin_;  // of a row's arcs, and of a column's in `into_`
  std::vector<Arc> arcs_;                            // row by row
  std::vector<Int128> mass_;
  std::vector<std::int32_t> into_;
  std::vector<char> waits_;
  std::deque<std::int32_t> queue_;
  std::vector<Offer> offers_;
};

}  // namespace monge::ot::detail
