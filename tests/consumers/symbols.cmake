# cmake -DNM=nm -DSHARED=libclattn.so -DSTATIC=libclattn.a -DHEADER=clattn.h -P symbols.cmake
# The shared library exports exactly the functions that the header declares; the archive defines no symbol outside
# the project's prefixes.

# defined(VARIABLE FILE ARG...): the external symbols that FILE defines.
function(defined variable file)
  execute_process(COMMAND ${NM} --defined-only ${ARGN} ${file} RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${NM} ${file}: ${err}")
  endif()
  string(REGEX MATCHALL " [A-Z] [A-Za-z_][A-Za-z0-9_.$]*" found "${out}")
  list(TRANSFORM found REPLACE "^ [A-Z] " "")
  # Sanitizers add their own.
  list(FILTER found EXCLUDE REGEX "^__?(asan|odr_asan|ubsan|sancov)")
  list(REMOVE_DUPLICATES found)
  list(SORT found)
  set(${variable} "${found}" PARENT_SCOPE)
endfunction()

defined(exported ${SHARED} -D)
file(READ ${HEADER} text)
string(REGEX MATCHALL "CLATTN_API [^;(]*\\(" declared "${text}")
list(TRANSFORM declared REPLACE "^CLATTN_API .*[ *](clattn_[a-z0-9_]+)\\($" "\\1")
list(FILTER declared INCLUDE REGEX "^clattn_") # what remains besides are the definitions of CLATTN_API
list(REMOVE_DUPLICATES declared)
list(SORT declared)
if(NOT "${exported}" STREQUAL "${declared}")
  set(surplus ${exported})
  list(REMOVE_ITEM surplus ${declared})
  set(lacking ${declared})
  list(REMOVE_ITEM lacking ${exported})
  message(FATAL_ERROR "${SHARED} exports what ${HEADER} does not declare: ${surplus}\nand lacks: ${lacking}")
endif()
defined(static ${STATIC} -g)
list(FILTER static EXCLUDE REGEX "^(clattn|ca)_")
if(static)
  message(FATAL_ERROR "${STATIC} defines symbols outside clattn_ and ca_: ${static}")
endif()
list(LENGTH exported count)
message(STATUS "${count} exported functions, as declared")
