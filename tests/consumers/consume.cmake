# cmake -DWAY=... -DSOURCE=... -DBINARY=... -DSCRATCH=... -DCC=... [-DGENERATOR=... -DPKG_CONFIG=... -DCXX=...]
#       -P consume.cmake
# WAY: stage (install, then move the tree: nothing in it may remember where it was made), find_package, subdirectory,
# pkg_config, cxx, command.
set(STAGE ${SCRATCH}/stage)
set(HERE ${CMAKE_CURRENT_LIST_DIR})

# must(COMMAND...): runs it and fails with its output; the output is left in `said`.
function(must)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " line)
    message(FATAL_ERROR "${line}\n${out}\n${err}\nended with ${result}")
  endif()
  string(STRIP "${out}" out)
  set(said "${out}" PARENT_SCOPE)
endfunction()

# build_project(NAME ARG...): configures, builds and runs the consumer project with both libraries.
function(build_project name)
  set(build ${SCRATCH}/${name})
  file(REMOVE_RECURSE ${build})
  must(${CMAKE_COMMAND} -S ${HERE}/project -B ${build} -G ${GENERATOR} -DCMAKE_C_COMPILER=${CC}
       -DCMAKE_BUILD_TYPE=Release ${ARGN})
  must(${CMAKE_COMMAND} --build ${build} --parallel 2)
  must(${build}/consumer)
  must(${build}/consumer_static)
endfunction()

if(WAY STREQUAL "stage")
  file(REMOVE_RECURSE ${STAGE} ${SCRATCH}/first)
  must(${CMAKE_COMMAND} --install ${BINARY} --prefix ${SCRATCH}/first)
  file(RENAME ${SCRATCH}/first ${STAGE})
elseif(WAY STREQUAL "find_package")
  build_project(find_package -DCMAKE_PREFIX_PATH=${STAGE})
elseif(WAY STREQUAL "subdirectory")
  build_project(subdirectory -DCLATTN_SOURCE=${SOURCE})
elseif(WAY STREQUAL "pkg_config")
  file(GLOB_RECURSE pc ${STAGE}/clattn.pc)
  get_filename_component(pc_dir "${pc}" DIRECTORY)
  get_filename_component(lib_dir "${pc_dir}" DIRECTORY)
  set(ENV{PKG_CONFIG_PATH} "${pc_dir}:$ENV{PKG_CONFIG_PATH}")
  must(${PKG_CONFIG} --cflags --libs clattn)
  separate_arguments(flags UNIX_COMMAND "${said}")
  must(${CC} -std=c11 ${HERE}/consumer.c -o ${SCRATCH}/consumer_pc ${flags} -lm -Wl,-rpath,${lib_dir})
  must(${SCRATCH}/consumer_pc)
  must(${PKG_CONFIG} --cflags --libs --static clattn)
  # Both libraries lie in one folder and the shared one would win: the archive is taken by its file name.
  string(REPLACE "-lclattn" "-l:libclattn.a" said "${said}")
  separate_arguments(flags UNIX_COMMAND "${said}")
  must(${CC} -std=c11 ${HERE}/consumer.c -o ${SCRATCH}/consumer_pc_static ${flags})
  must(${SCRATCH}/consumer_pc_static)
elseif(WAY STREQUAL "cxx")
  must(${CXX} -std=c++20 -Wall -Werror -fsyntax-only -I${STAGE}/include ${HERE}/consumer.cpp)
elseif(WAY STREQUAL "command")
  # From its prefix, in an empty folder, the command brings its demonstration layer along.
  file(REMOVE_RECURSE ${SCRATCH}/empty)
  file(MAKE_DIRECTORY ${SCRATCH}/empty)
  execute_process(COMMAND ${STAGE}/bin/clattn demo WORKING_DIRECTORY ${SCRATCH}/empty RESULT_VARIABLE result
                  OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT result EQUAL 0 OR NOT out MATCHES "elephant")
    message(FATAL_ERROR "clattn demo ended with ${result}\n${out}\n${err}")
  endif()
else()
  message(FATAL_ERROR "consume.cmake: unknown WAY \"${WAY}\"")
endif()
