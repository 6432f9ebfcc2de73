# The tester finds a planted fault, shrinks it, and its line fails again with the fault and passes without.
# PROGRAM: test_random; KERNELS: the kernels' folder; SCRATCH: a folder of its own;
# OPTIONS: of the tester, which problems to draw;
# FILE, RIGHT, FAULT: the text of a kernel file that is replaced; VERDICT, KEY: what the line must say; MOST: its length.
file(REMOVE_RECURSE ${SCRATCH})
file(COPY ${KERNELS}/ DESTINATION ${SCRATCH})
file(READ ${SCRATCH}/${FILE} text)
string(REPLACE "${RIGHT}" "${FAULT}" planted "${text}")
if(planted STREQUAL text)
  message(FATAL_ERROR "${FILE} no longer has: ${RIGHT}")
endif()
file(WRITE ${SCRATCH}/${FILE} "${planted}")
set(with_fault ${CMAKE_COMMAND} -E env CLATTN_KERNEL_DIR=${SCRATCH} ${PROGRAM})

separate_arguments(OPTIONS)
execute_process(COMMAND ${with_fault} ${OPTIONS} --seed 4 --cases 60 --failures 1 --limit 60
                OUTPUT_VARIABLE said RESULT_VARIABLE status)
message(STATUS "found:\n${said}")
if(NOT status EQUAL 1 OR NOT said MATCHES "(^|\n)${VERDICT}: ([^\n]+)\n")
  message(FATAL_ERROR "the planted fault was not found: status ${status}")
endif()
set(line "${CMAKE_MATCH_2}")
string(LENGTH "${line}" length)
if(NOT line MATCHES "${KEY}" OR length GREATER MOST)
  message(FATAL_ERROR "not shrunk to '${KEY}' and ${MOST} letters: ${line}")
endif()

execute_process(COMMAND ${with_fault} --problem ${line} OUTPUT_VARIABLE said RESULT_VARIABLE status)
if(NOT status EQUAL 1 OR NOT said MATCHES "^failed")
  message(FATAL_ERROR "with the fault, ${line}: status ${status}\n${said}")
endif()
execute_process(COMMAND ${PROGRAM} --problem ${line} OUTPUT_VARIABLE said RESULT_VARIABLE status)
if(NOT status EQUAL 0 OR NOT said MATCHES "^good")
  message(FATAL_ERROR "without the fault, ${line}: status ${status}\n${said}")
endif()
