# Changes the build of llama.cpp, which `.cargo/config.toml` makes include this file.
#
# llama-cpp-2 always compiles the library `common` of llama.cpp: chat templates, command lines and
# downloads, two fifths of the compile time. No program here uses it, and the linker needs no more
# than an archive of that name: symbols that nothing reaches may be undefined (`--gc-sections`).
# Whoever calls a function of it gets an error of the linker and has to delete the lines below.
if(PROJECT_NAME STREQUAL "llama.cpp" AND CMAKE_SYSTEM_NAME STREQUAL "Linux"
   AND CMAKE_VERSION VERSION_GREATER_EQUAL 3.19)
  function(tandem_leave_out_common)
    foreach(target llama-common cpp-httplib)
      if(TARGET ${target})
        file(WRITE "${CMAKE_BINARY_DIR}/tandem-empty.cpp" "")
        set_property(TARGET ${target} PROPERTY SOURCES "${CMAKE_BINARY_DIR}/tandem-empty.cpp")
      endif()
    endforeach()
  endfunction()
  # After all targets are there.
  cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL tandem_leave_out_common)
endif()
