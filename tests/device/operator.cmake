# The operator beyond dense float32: pasts and presents, types, sizes at their ends, merging.
clattn_test_program(test_extend test_extend.c "" "" "")
clattn_test_program(test_types test_types.c "" "" "")
clattn_test_program(test_reach "test_reach.c;far.c" "" "" "")
foreach(subject extend types reach)
  foreach(variant reference tiled)
    foreach(path staged fused)
      clattn_test(NAME ${subject}_${variant}_${path} COMMAND test_${subject} ARGS ${variant} ${path} LABELS device)
    endforeach()
  endforeach()
  clattn_test(NAME ${subject}_any_auto COMMAND test_${subject} ARGS any auto LABELS device)
endforeach()
clattn_test(NAME merge SOURCES test_merge.c far.c LABELS device)

# Small cases of the same, for Oclgrind.
foreach(variant reference tiled)
  foreach(path staged fused)
    foreach(subject extend types reach)
      clattn_test(NAME small_${subject}_${variant}_${path} COMMAND test_${subject} ARGS ${variant} ${path} test_small
                  LABELS small TIMEOUT 300)
    endforeach()
  endforeach()
endforeach()
clattn_test(NAME small_merge COMMAND test_merge ARGS test_small LABELS small TIMEOUT 300)
