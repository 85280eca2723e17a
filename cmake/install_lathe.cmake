# Two libraries for users, with headers and a package file: lathe::lathe, C++
# and static, made of the rooms' libraries, and lathe::c, shared, the C ABI.
include(CMakePackageConfigHelpers)

add_library(lathe INTERFACE)
add_library(lathe::lathe ALIAS lathe)
target_link_libraries(lathe INTERFACE lathe_api)
target_compile_features(lathe INTERFACE cxx_std_23)

set(rooms lathe)
foreach(room base graph format import passes quant kernels plan run report api)
  list(APPEND rooms lathe_${room})
endforeach()
install(TARGETS ${rooms} EXPORT lathe-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/lathe)
install(EXPORT lathe-targets NAMESPACE lathe::
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lathe)
install(TARGETS lathe_c EXPORT lathe-c-targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT lathe-c-targets NAMESPACE lathe::
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lathe)
install(DIRECTORY include/lathe DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
configure_package_config_file(
  cmake/lathe-config.cmake.in ${PROJECT_BINARY_DIR}/lathe-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lathe)
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/lathe-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/lathe-config.cmake
              ${PROJECT_BINARY_DIR}/lathe-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lathe)
