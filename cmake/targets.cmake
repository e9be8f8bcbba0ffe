# `#include "monge/ot/..."` means the same in the build tree as once installed.
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/include)
file(CREATE_LINK ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/include/monge SYMBOLIC)

# Warnings and language level shared by every target of the project.
function(monge_target_defaults target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra>
                                           $<$<AND:$<BOOL:${MONGE_WERROR}>,$<COMPILE_LANGUAGE:CXX>>:-Werror>)
endfunction()

# A library `monge_NAME`, exported as `monge::NAME`.
function(monge_add_library name)
  add_library(monge_${name} ${ARGN})
  add_library(monge::${name} ALIAS monge_${name})
  set_target_properties(monge_${name} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(monge_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>)
  monge_target_defaults(monge_${name})
endfunction()
