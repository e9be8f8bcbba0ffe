# The OpenMP build of OpenBLAS. Debian keeps several builds side by side, and its alternatives prefer the one with its
# own threads.
find_package(OpenBLAS REQUIRED CONFIG
             HINTS /usr/lib/${CMAKE_CXX_LIBRARY_ARCHITECTURE}/openblas-openmp/cmake/openblas)
if(NOT TARGET OpenBLAS::OpenBLAS)  # Debian's package names the files and exports no target
  add_library(OpenBLAS::OpenBLAS INTERFACE IMPORTED)
  set_target_properties(OpenBLAS::OpenBLAS PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${OpenBLAS_INCLUDE_DIRS}" INTERFACE_LINK_LIBRARIES "${OpenBLAS_LIBRARIES}")
endif()

include(CheckCXXSourceRuns)
include(CMakePushCheckState)
cmake_push_check_state(RESET)
set(CMAKE_REQUIRED_LIBRARIES OpenBLAS::OpenBLAS)
check_cxx_source_runs("extern \"C\" int openblas_get_parallel();
                       int main() { return openblas_get_parallel() == 2 ? 0 : 1; }" MONGE_OPENBLAS_IS_OPENMP)
cmake_pop_check_state()
if(NOT MONGE_OPENBLAS_IS_OPENMP)
  message(WARNING "monge: ${OpenBLAS_DIR} is not the OpenMP build of OpenBLAS: everything is slower, and results may "
                  "depend on the number of threads. Debian has it in libopenblas-openmp-dev.")
endif()
