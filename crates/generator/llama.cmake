# Changes the build of llama.cpp, which `.cargo/config.toml` makes include this file.
#
# llama-cpp-2 always compiles the library `common` of llama.cpp: chat templates, command lines and
# downloads, two fifths of the compile time. No program here uses it, and the linker needs no more
# than an archive of that name: symbols that nothing reaches may be undefined (`--gc-sections`).
# Whoever calls a function of it gets an error of the linker and has to delete the function below.
#
# The 150 files of the model architectures read the same large headers: they are compiled 20 at a
# time.
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

  function(tandem_join_architectures)
    if(TARGET llama)
      get_target_property(files llama SOURCES)
      get_target_property(folder llama SOURCE_DIR)
      foreach(file ${files})
        if(NOT file MATCHES "models/")
          set_source_files_properties("${folder}/${file}" TARGET_DIRECTORY llama
            PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
        endif()
      endforeach()
      set_target_properties(llama PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 20)
    endif()
  endfunction()

  # After all targets are there.
  foreach(change tandem_leave_out_common tandem_join_architectures)
    cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL "${change}")
  endforeach()
endif()
