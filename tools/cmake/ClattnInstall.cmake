# Installation: headers, both libraries, the command where it is built, and how find_package and pkg-config find them.
# Everything refers to everything else by relative paths, so an installed tree may be moved as a whole.
if(NOT CLATTN_INSTALL)
  return()
endif()

if(WIN32)
  # There the shared library brings an import library of the plain name.
  set_target_properties(clattn_static PROPERTIES OUTPUT_NAME clattn_static)
endif()

set(CLATTN_CONFIG_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/clattn)
install(TARGETS clattn clattn_static EXPORT clattn-targets
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/clattn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(TARGET clattn_command)
  install(TARGETS clattn_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# find_package(clattn)
install(EXPORT clattn-targets NAMESPACE clattn:: DESTINATION ${CLATTN_CONFIG_DIR})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/clattn-config.cmake.in ${PROJECT_BINARY_DIR}/clattn-config.cmake
                              INSTALL_DESTINATION ${CLATTN_CONFIG_DIR})
# While the version is 0.x a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/clattn-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/clattn-config.cmake ${PROJECT_BINARY_DIR}/clattn-config-version.cmake
        DESTINATION ${CLATTN_CONFIG_DIR})

# pkg-config
set(CLATTN_PC_DIR ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH CLATTN_PC_PREFIX ${CLATTN_PC_DIR} ${CMAKE_INSTALL_PREFIX})
file(RELATIVE_PATH CLATTN_PC_LIBDIR ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH CLATTN_PC_INCLUDEDIR ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
# clattn_pc_library(VARIABLE FILE): how a linker is told of a library that was found as FILE.
function(clattn_pc_library variable file)
  get_filename_component(folder ${file} DIRECTORY)
  get_filename_component(name ${file} NAME)
  string(REGEX REPLACE "^lib" "" name ${name})
  string(REGEX REPLACE "\\.(so|a|dylib|lib)[0-9.]*$" "" name ${name})
  set(text "-l${name}")
  if(NOT folder IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
    set(text "-L${folder} ${text}")
  endif()
  set(${variable} "${text}" PARENT_SCOPE)
endfunction()
if(APPLE)
  set(CLATTN_PC_OPENCL "-framework OpenCL")
else()
  clattn_pc_library(CLATTN_PC_OPENCL ${OpenCL_LIBRARY})
endif()
set(CLATTN_PC_CFLAGS "")
if(NOT OpenCL_INCLUDE_DIR IN_LIST CMAKE_C_IMPLICIT_INCLUDE_DIRECTORIES)
  set(CLATTN_PC_CFLAGS "-I${OpenCL_INCLUDE_DIR}")
endif()
set(CLATTN_PC_PRIVATE "${CMAKE_THREAD_LIBS_INIT}")
if(UNIX)
  string(APPEND CLATTN_PC_PRIVATE " -lm")
endif()
if(CLATTN_HAS_CLBLAST)
  clattn_pc_library(CLATTN_PC_CLBLAST ${CLBLAST_LIBRARY})
  string(APPEND CLATTN_PC_PRIVATE " ${CLATTN_PC_CLBLAST}")
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/clattn.pc.in ${PROJECT_BINARY_DIR}/clattn.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/clattn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
