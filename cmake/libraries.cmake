# What the libraries stand on; read by the build and by the installed package alike. FAISS needs OpenMP to be found
# first, HDF5 needs language C.
get_property(monge_languages GLOBAL PROPERTY ENABLED_LANGUAGES)
if(NOT "C" IN_LIST monge_languages)
  enable_language(C)
endif()
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(OpenBLAS REQUIRED CONFIG)
if(NOT TARGET OpenBLAS::OpenBLAS)  # Debian's package names the files and exports no target
  add_library(OpenBLAS::OpenBLAS INTERFACE IMPORTED)
  set_target_properties(OpenBLAS::OpenBLAS PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${OpenBLAS_INCLUDE_DIRS}" INTERFACE_LINK_LIBRARIES "${OpenBLAS_LIBRARIES}")
endif()
find_package(Eigen3 REQUIRED CONFIG)
find_package(hwy REQUIRED CONFIG)
find_package(BLAS REQUIRED)
find_package(LAPACK REQUIRED)
find_package(faiss REQUIRED CONFIG)
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(ZLIB REQUIRED)
