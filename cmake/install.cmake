# The package `monge`: find_package(monge) gives monge::ot, monge::data and monge::flow.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(monge_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/monge)

install(TARGETS monge_ot monge_data monge_flow EXPORT monge_targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT monge_targets NAMESPACE monge:: DESTINATION ${monge_package_dir})

# Every header but those of the rooms and those that call themselves private in their first line.
file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ot/*.h ot/core/*.h data/*.h flow/*.h flow/nn/*.h)
foreach(header ${headers})
  file(STRINGS ${header} first_line LIMIT_COUNT 1)
  if(NOT first_line MATCHES "private: never installed")
    get_filename_component(folder ${header} DIRECTORY)
    install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/monge/${folder})
  endif()
endforeach()

configure_package_config_file(cmake/mongeConfig.cmake.in ${PROJECT_BINARY_DIR}/mongeConfig.cmake
                              INSTALL_DESTINATION ${monge_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mongeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mongeConfig.cmake ${PROJECT_BINARY_DIR}/mongeConfigVersion.cmake
              cmake/libraries.cmake cmake/openblas.cmake DESTINATION ${monge_package_dir})

if(MONGE_BUILD_APPS)
  foreach(program monge ot_data ot_fit sdfm_train sdfm_sample sdfm_eval sdfm_report sdfm_classifier)
    if(TARGET ${program})
      install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    endif()
  endforeach()
  install(DIRECTORY share/ DESTINATION share/monge)
endif()
