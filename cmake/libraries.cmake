# What the libraries stand on; read by the build and by the installed package alike. FAISS needs OpenMP to be found
# first, HDF5 needs language C.
get_property(monge_languages GLOBAL PROPERTY ENABLED_LANGUAGES)
if(NOT "C" IN_LIST monge_languages)
  enable_language(C)
endif()
find_package(OpenMP REQUIRED COMPONENTS CXX)
include(${CMAKE_CURRENT_LIST_DIR}/openblas.cmake)
find_package(Eigen3 REQUIRED CONFIG)
find_package(hwy REQUIRED CONFIG)
find_package(faiss REQUIRED CONFIG)
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(ZLIB REQUIRED)
