# The CUDA room, compiled for named architectures: no GPU is asked for, or needed, at build time.
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80 90a)  # 90a: with the matrix instructions of warpgroups
endif()
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(CMAKE_CUDA_COMPILER nvcc HINTS /usr/local/cuda/bin REQUIRED)  # the toolkit is not on every PATH
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

# The objects of the room. The runtime is linked statically, and finds the driver when it runs: programs start without.
# CMake 3.25 knows no C++20 for CUDA.
function(monge_add_cuda_room target)
  add_library(${target} OBJECT ${ARGN})
  target_include_directories(${target} PRIVATE ${PROJECT_BINARY_DIR}/include)
  target_compile_options(${target} PRIVATE -std=c++20 --expt-relaxed-constexpr -diag-suppress=554)
endfunction()
